"""Inputs for hidden tests, chosen around a function's constants so that a wrong constant or operator shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from dus.lab.tasks.code.words import SAMPLE_WORDS

COUNT = 8


def _ints(rng: random.Random, numbers: Sequence[int], letters: Sequence[str]) -> list[int]:
    near = [c + shift for shift in (0, 1, -1) for c in numbers]
    small, wide = rng.choices(range(2, 30), k=4), rng.choices(range(30, 200), k=2)
    return list(
        dict.fromkeys([small[0], wide[0], 0, small[0] + 1, *near[:3], -small[1], *small, *wide, 1, 2, 3, 4, 5])
    )[:COUNT]


def _counts(rng: random.Random, numbers: Sequence[int], letters: Sequence[str]) -> list[int]:
    return rng.choices(range(2, 16), k=COUNT)


def _lists(rng: random.Random, numbers: Sequence[int], letters: Sequence[str]) -> list[list[int]]:
    near = [0, *(value for c in numbers for value in (c, c + 1, c - 1, 2 * c))]
    pool = [*range(-12, 36), *near * (24 // len(near))]
    # Short ones, because what is true of some item of a long list is nearly always true.
    drawn = [rng.choices(pool, k=length) for length in (7, 1, 9, 2, 6, 3, 8)]
    drawn[4][rng.randrange(6)] = 0
    return [*drawn, []]


def _words(rng: random.Random, numbers: Sequence[int], letters: Sequence[str]) -> list[list[str]]:
    drawn = []
    for i in range(COUNT - 1):
        words = rng.choices(SAMPLE_WORDS, k=6 + i % 4)
        for place, letter in enumerate(letters):
            for j in (place, place + 3):
                word = words[j % len(words)]
                shapes = (letter + word, word + letter, word[:1] + letter + word[1:])
                words[j % len(words)] = shapes[(i + place) % 3]
        drawn.append(words)
    return [*drawn, []]


def _texts(rng: random.Random, numbers: Sequence[int], letters: Sequence[str]) -> list[str]:
    drawn = [" ".join(words) for words in _words(rng, numbers, letters)[:-1]]
    drawn[1] = f" {drawn[1]}  "
    drawn[2] = drawn[2] + drawn[2][-2::-1]
    drawn[3] = drawn[3].split()[0]
    drawn[4] = drawn[4].replace(" ", "  ", 1) + " 42"
    lengths = [c + shift for c in numbers if c < 12 for shift in (0, 1, -1)]
    for i, length in zip((6, 0, 5, 3), lengths, strict=False):
        drawn[i] = drawn[i][:length]
    return [*drawn, "noon"]


_DRAW: dict[str, Callable[[random.Random, Sequence[int], Sequence[str]], list[Any]]] = {
    "int": _ints,
    "count": _counts,
    "text": _texts,
    "numbers": _lists,
    "words": _words,
}


def draw(rng: random.Random, kinds: Sequence[str], constants: Sequence[int | str]) -> list[tuple[Any, ...]]:
    """About eight tuples of arguments of these kinds for a function with these constants.

    Kinds: `int`, `count` (an int from 2 to 15), `text`, `numbers` and `words`. Only the last tuple holds empty lists.
    """
    numbers = [c for c in constants if isinstance(c, int)]
    letters = [c for c in constants if isinstance(c, str) and len(c) == 1 and c.isalpha()]
    drawn = list(zip(*(_DRAW[kind](rng, numbers, letters) for kind in kinds), strict=False))
    if len(kinds) > 1 and kinds[0] == "numbers":
        for items, other in drawn[:-1]:
            _meet(rng, items, other)
    return drawn


def _meet(rng: random.Random, items: list[int], other: int | list[int]) -> None:
    """Makes an item equal to the other argument, or to the item that it is paired with."""
    place = rng.randrange(len(items))
    items[place] = other[place] if isinstance(other, list) else other
