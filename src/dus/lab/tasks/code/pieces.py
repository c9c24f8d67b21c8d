"""What a loop, a filter or a condition of the code problems says of one number or word.

Each piece has its words, its source and a callable: the source is what a solution prints, the callable the reference
that the hidden tests come from. `{x}` is the variable, `{it}` how the words speak of it, `{c}` the constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Function = Callable[[Any, Any], Any]

LETTERS = tuple("abcdeghilmnoprstu")
MARKS = ("!", "?", ".", "ing", "ly", "_", "+", "#")


@dataclass(frozen=True)
class Piece:
    """A test of a number or a word, or a value made from it; `constants` are those to choose from."""

    words: str
    code: str
    function: Function
    constants: Sequence[int | str] | None = None


NUMBER_TESTS = (
    Piece("is even", "{x} % 2 == 0", lambda x, c: not x & 1),
    Piece("is odd", "{x} % 2 == 1", lambda x, c: x & 1 == 1),
    Piece("is positive", "{x} > 0", lambda x, c: x >= 1),
    Piece("is negative", "{x} < 0", lambda x, c: x <= -1),
    Piece("is greater than {c}", "{x} > {c}", lambda x, c: not x <= c, range(1, 30)),
    Piece("is less than {c}", "{x} < {c}", lambda x, c: not x >= c, range(1, 30)),
    Piece("is at least {c}", "{x} >= {c}", lambda x, c: not x < c, range(1, 30)),
    Piece("is at most {c}", "{x} <= {c}", lambda x, c: not x > c, range(1, 30)),
    Piece("is divisible by {c}", "{x} % {c} == 0", lambda x, c: x == x // c * c, range(3, 12)),
    Piece("is not equal to {c}", "{x} != {c}", lambda x, c: x - c != 0, range(1, 30)),
)
NUMBER_VALUES = (
    Piece("twice {it}", "{x} * 2", lambda x, c: x + x),
    Piece("{c} times {it}", "{x} * {c}", lambda x, c: c * x, range(3, 30)),
    Piece("{it} plus {c}", "{x} + {c}", lambda x, c: c + x, range(1, 50)),
    Piece("{it} minus {c}", "{x} - {c}", lambda x, c: -c + x, range(1, 50)),
    Piece("{c} minus {it}", "{c} - {x}", lambda x, c: -x + c, range(10, 50)),
    Piece("the square of {it}", "{x} ** 2", lambda x, c: x * x),
    Piece("the absolute value of {it}", "abs({x})", lambda x, c: max(x, -x)),
    Piece("{it} modulo {c}", "{x} % {c}", lambda x, c: x - x // c * c, range(3, 12)),
    Piece("{it} divided by {c}, rounded down,", "{x} // {c}", lambda x, c: (x - x % c) // c, range(2, 10)),
)
WORD_TESTS = (
    Piece("is longer than {c} letters", "len({x}) > {c}", lambda x, c: bool(x[c:]), range(2, 8)),
    Piece("is shorter than {c} letters", "len({x}) < {c}", lambda x, c: not x[c - 1 :], range(3, 8)),
    Piece("is exactly {c} letters long", "len({x}) == {c}", lambda x, c: sum(1 for _ in x) == c, range(3, 8)),
    Piece("starts with {c}", "{x}.startswith({c})", lambda x, c: x[: len(c)] == c, LETTERS),
    Piece("ends with {c}", "{x}.endswith({c})", lambda x, c: x[len(x) - len(c) :] == c, LETTERS),
    Piece("contains {c}", "{c} in {x}", lambda x, c: x.find(c) >= 0, LETTERS),
)
WORD_VALUES = (
    Piece("{it} in upper case", "{x}.upper()", lambda x, c: x.upper()),
    Piece("{it} reversed", "{x}[::-1]", lambda x, c: "".join(reversed(x))),
    Piece("{it} capitalized", "{x}.capitalize()", lambda x, c: x[:1].upper() + x[1:].lower()),
    Piece("{it} followed by {c}", "{x} + {c}", lambda x, c: f"{x}{c}", MARKS),
    Piece("{c} followed by {it}", "{c} + {x}", lambda x, c: f"{c}{x}", MARKS),
    Piece("{it} repeated {c} times", "{x} * {c}", lambda x, c: "".join(x for _ in range(c)), range(2, 5)),
    Piece("the first {c} letters of {it}", "{x}[:{c}]", lambda x, c: x[0 : min(c, len(x))], range(2, 5)),
    Piece("{it} without {c}", '{x}.replace({c}, "")', lambda x, c: "".join(x.split(c)), LETTERS),
)
