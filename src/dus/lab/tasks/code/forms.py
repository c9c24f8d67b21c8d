"""The shapes of the functions: one operation, chains, comprehensions, loops, branches and pairs of functions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dus.lab.tasks.code import operations, words
from dus.lab.tasks.code.lists import EACH, NUMBERS, WORDS
from dus.lab.tasks.code.operations import CHECKS, INTS, TEXTS, Function, Operation, Piece

Constants = Sequence[Any]


@dataclass(frozen=True)
class Draft:
    """A function without its name.

    `clauses` say in order what it does, `arguments` are (name, kind) pairs, `body` its indented lines, `run` the
    reference: constants and arguments to the value. `helper` is the source of another function, before it; `nonempty`
    says that it has no value for an empty list.
    """

    labels: tuple[str, ...]
    clauses: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    body: str
    constants: tuple[int | str, ...]
    run: Callable[[Constants, Sequence[Any]], Any]
    helper: str = ""
    nonempty: bool = False


class Maker:
    """Draws operations and pieces, and collects their constants."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.constants: list[int | str] = []

    def constant(self, choices: Sequence[int | str] | None) -> tuple[str, int | None]:
        """A constant as the source writes it and its place among the constants; none where there are no choices."""
        if choices is None:
            return "", None
        drawn = self.rng.choice(choices)
        self.constants.append(drawn)
        return (f'"{drawn}"' if isinstance(drawn, str) else str(drawn)), len(self.constants) - 1

    def piece(self, drawn: Sequence[Piece], x: str, it: str) -> Part:
        """A drawn piece about the variable `x`, which the words call `it`."""
        piece = self.rng.choice(drawn)
        text, place = self.constant(piece.constants)
        return Part(piece.words.format(c=text, it=it), piece.code.format(x=x, c=text), piece.function, place)

    def operation(self, operation: Operation, x: str, it: str) -> Part:
        """The operation on the variable `x`."""
        text, place = self.constant(operation.constants)
        phrase = self.rng.choice(operation.phrases).format(x=it, c=text)
        return Part(phrase, operation.code.format(x=x, c=text), operation.function, place)

    def with_argument(self, operation: Operation, x: str, it: str, argument: str) -> Part:
        """The operation on `x` with an argument of the function, the second one, in the constant's place."""
        phrase = self.rng.choice(operation.phrases).format(x=it, c=argument)
        return Part(phrase, operation.code.format(x=x, c=argument), operation.function, -1)


@dataclass(frozen=True)
class Part:
    """A piece or an operation in its place; `place` is that of its constant, -1 the function's second argument."""

    words: str
    code: str
    function: Function
    place: int | None

    def value(self, x: Any, constants: Constants, arguments: Sequence[Any] = ()) -> Any:
        """What it makes of `x`."""
        if self.place is None:
            return self.function(x, None)
        return self.function(x, arguments[1] if self.place < 0 else constants[self.place])


TYPES = ("int", "text", "numbers", "words")
BY_KIND = {kind: [o for o in (*INTS, *CHECKS, *TEXTS, *NUMBERS, *WORDS) if o.takes == kind] for kind in TYPES}
WHOLE = {kind: [o for o in BY_KIND[kind] if o not in EACH] for kind in TYPES}
LATER = {kind: [o for o in BY_KIND[kind] if not o.first] for kind in TYPES}
GOING_ON = {kind: [o for o in LATER[kind] if o.gives != "bool"] for kind in TYPES}
SAME = {kind: [o for o in GOING_ON[kind] if o.gives == kind] for kind in TYPES}
"""Operations by what they take: any, those on the value as a whole, those that may follow others, those that others may
follow, those that keep it."""
VALUES: dict[str, Sequence[Piece]] = {"numbers": operations.NUMBER_VALUES, "words": operations.WORD_VALUES}
TESTS: dict[str, Sequence[Piece]] = {"numbers": operations.NUMBER_TESTS, "words": operations.WORD_TESTS}
ELEMENT = {"numbers": ("x", "number"), "words": ("word", "word")}
WITH_ARGUMENT = {
    "int": [o for o in INTS if o.label in ("add", "subtract", "scale", "remainder", "at_least", "at_most")],
    "text": [o for o in TEXTS if o.label in ("head", "tail", "skip", "chop")],
    "numbers": [o for o in NUMBERS if isinstance(o.constants, range) and o.gives != "bool"],
    "words": [o for o in WORDS if o.label in ("head", "tail")],
}
"""Operations whose constant may be an argument that is at least 2."""


def single(rng: random.Random) -> Draft:
    """One operation on the whole value."""
    make = Maker(rng)
    kind = rng.choice(TYPES)
    operation = rng.choice(WHOLE[kind])
    name = rng.choice(words.ARGUMENTS[kind])
    part = make.operation(operation, name, name)
    return Draft(
        (operation.label,), (part.words,), ((name, kind),), f"    return {part.code}", tuple(make.constants),
        lambda constants, given: part.value(given[0], constants), nonempty=operation.first,
    )  # fmt: skip


def follow(
    make: Maker, kind: str, x: str, length: int, argument: str = "", said: str = ""
) -> tuple[list[str], list[Part], list[str]]:
    """`length` operations one after another on `x`: labels, parts, and the variable of each.

    With an `argument`, one of them takes it in place of its constant. What the first is done to is `said` in the
    question, where the name would mean what `x` was before.
    """
    labels: list[str] = []
    parts: list[Part] = []
    names: list[str] = []
    it, name = said or x, x
    special = make.rng.randrange(length) if argument else -1
    for i in range(length):
        pool = WITH_ARGUMENT[kind] if i == special else LATER[kind] if i == length - 1 else GOING_ON[kind]
        operation = make.rng.choice([o for o in pool if not labels or o.label != labels[-1]])
        if i == special:
            parts.append(make.with_argument(operation, name, it, argument))
        else:
            parts.append(make.operation(operation, name, it))
        labels.append(operation.label)
        if operation.gives != kind:
            kind = operation.gives
            name = words.RENAMED.get(kind, name)
        names.append(name)
        it = "the result"
    return labels, parts, names


def written(parts: Sequence[Part], names: Sequence[str]) -> str:
    """The lines that assign each part to its variable and return the last one."""
    lines = [f"    {name} = {part.code}\n" for name, part in zip(names[:-1], parts[:-1], strict=True)]
    return "".join(lines) + f"    return {parts[-1].code}"


def through(parts: Sequence[Part]) -> Callable[[Constants, Sequence[Any]], Any]:
    """The reference of the parts one after another, the first on the first argument."""

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        value = given[0]
        for part in parts:
            value = part.value(value, constants, given)
        return value

    return run


def chain(rng: random.Random, low: int = 2, high: int = 3, with_argument: bool = False) -> Draft:
    """Two or three operations, each on the result of the one before."""
    make = Maker(rng)
    kind = rng.choice(TYPES)
    name = rng.choice(words.ARGUMENTS[kind])
    second = rng.choice(words.SECOND["int"]) if with_argument else ""
    labels, parts, names = follow(make, kind, name, rng.randint(low, high), second)
    arguments = ((name, kind), (second, "count")) if with_argument else ((name, kind),)
    clauses = tuple(part.words for part in parts)
    return Draft(tuple(labels), clauses, arguments, written(parts, names), tuple(make.constants), through(parts))


def long_chain(rng: random.Random) -> Draft:
    """Three to five operations, one of which takes a second argument."""
    return chain(rng, 3, 5, with_argument=True)


_FOLDS: dict[str, tuple[str, str, Callable[[list[int]], Any]]] = {
    "sum": ("~add up", "sum({0})", sum),
    "largest": ("~find the largest (0 if there is none) of", "max(({0}), default=0)", lambda v: max(v, default=0)),
    "smallest": ("~find the smallest (0 if there is none) of", "min(({0}), default=0)", lambda v: min(v, default=0)),
    "list": ("~list", "[{0}]", list),
    "sorted": ("~list in ascending order", "sorted({0})", sorted),
}


def comprehension(rng: random.Random) -> Draft:
    """A list or a fold of values made from those numbers or words that pass a test."""
    make = Maker(rng)
    kind = rng.choice(("numbers", "numbers", "words"))
    x, noun = ELEMENT[kind]
    label = rng.choice(tuple(_FOLDS) if kind == "numbers" else ("list", "sorted"))
    start, form, fold = _FOLDS[label]
    value, test = make.piece(VALUES[kind], x, f"the {noun}"), make.piece(TESTS[kind], x, f"the {noun}")
    name = rng.choice(words.ARGUMENTS[kind])
    clause = f"{start} {value.words} for each {noun} in {name} that {test.words}"
    body = "    return " + form.format(f"{value.code} for {x} in {name} if {test.code}")

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        return fold([value.value(y, constants) for y in given[0] if test.value(y, constants)])

    return Draft((label, "where"), (clause,), ((name, kind),), body, tuple(make.constants), run)
