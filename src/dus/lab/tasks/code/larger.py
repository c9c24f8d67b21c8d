"""The larger shapes of the third level: branches, loops, pairs of lists, countdowns, and a function with a helper."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from dus.lab.tasks.code import words
from dus.lab.tasks.code.forms import (
    ELEMENT,
    SAME,
    TESTS,
    VALUES,
    Constants,
    Draft,
    Maker,
    Part,
    follow,
    through,
    written,
)
from dus.lab.tasks.code.operations import NUMBER_TESTS, NUMBER_VALUES, WORD_TESTS, Piece

PAIR_VALUES = (
    Piece("a plus b", "a + b", lambda p, c: sum(p)),
    Piece("a minus b", "a - b", lambda p, c: -p[1] + p[0]),
    Piece("a times b", "a * b", lambda p, c: p[1] * p[0]),
    Piece("the larger of a and b", "max(a, b)", lambda p, c: sorted(p)[1]),
    Piece("the smaller of a and b", "min(a, b)", lambda p, c: sorted(p)[0]),
    Piece("{c} times a", "a * {c}", lambda p, c: c * p[0], range(2, 20)),
    Piece("{c} times b", "b * {c}", lambda p, c: c * p[1], range(2, 20)),
    Piece("a plus {c}", "a + {c}", lambda p, c: c + p[0], range(1, 30)),
    Piece("b minus {c}", "b - {c}", lambda p, c: -c + p[1], range(1, 30)),
)
PAIR_TESTS = (
    Piece("a is greater than b", "a > b", lambda p, c: not p[0] <= p[1]),
    Piece("a is less than b", "a < b", lambda p, c: not p[0] >= p[1]),
    Piece("a plus b is even", "(a + b) % 2 == 0", lambda p, c: not sum(p) & 1),
    Piece("a is at least {c}", "a >= {c}", lambda p, c: not p[0] < c, range(1, 20)),
    Piece("b is at most {c}", "b <= {c}", lambda p, c: not p[1] > c, range(1, 20)),
)


def _after(run: Callable[[Constants, Sequence[Any]], Any], parts: Sequence[Part]) -> Callable[..., Any]:
    """The reference of `run` and then the parts on its result."""
    rest = through(parts)
    return lambda constants, given: rest(constants, (run(constants, given), *given[1:]))


def _clauses(first: str, parts: Sequence[Part]) -> tuple[str, ...]:
    return (first, *(part.words for part in parts))


def branch(rng: random.Random) -> Draft:
    """One of two operations, as a condition says, and then one or two more; one takes the second argument."""
    make = Maker(rng)
    kind = rng.choice(("int", "text"))
    x, second = rng.choice(words.ARGUMENTS[kind]), rng.choice(words.SECOND["int"])
    test = make.piece(NUMBER_TESTS if kind == "int" else WORD_TESTS, x, x)
    first, other = rng.sample(SAME[kind], 2)
    yes, no = make.operation(first, x, x), make.operation(other, x, x)
    labels, parts, names = follow(make, kind, x, rng.randint(1, 2), second, "the result")
    clause = f"{yes.words} if {x} {test.words} and {no.words} otherwise"
    body = f"    if {test.code}:\n        {x} = {yes.code}\n    else:\n        {x} = {no.code}\n"

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        return (yes if test.value(given[0], constants) else no).value(given[0], constants)

    return Draft(
        (first.label, "or", *labels), _clauses(clause, parts), ((x, kind), (second, "count")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
    )  # fmt: skip


def total_loop(rng: random.Random) -> Draft:
    """A total to which a loop adds one value or another, and then one or two operations."""
    make = Maker(rng)
    name, second = rng.choice(words.ARGUMENTS["numbers"]), rng.choice(words.SECOND["int"])
    test = make.piece(NUMBER_TESTS, "x", "it")
    yes, no = (make.piece(NUMBER_VALUES, "x", "the number") for _ in range(2))
    labels, parts, names = follow(make, "int", "total", rng.randint(1, 2), second)
    clause = (
        f"~start total at 0, for each number in {name} ~add {yes.words} to total if it {test.words}"
        f" and ~subtract {no.words} from total otherwise"
    )
    body = (
        f"    total = 0\n    for x in {name}:\n        if {test.code}:\n            total += {yes.code}\n"
        f"        else:\n            total -= {no.code}\n"
    )

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        added = [yes.value(x, constants) for x in given[0] if test.value(x, constants)]
        return sum(added) - sum(no.value(x, constants) for x in given[0] if not test.value(x, constants))

    return Draft(
        ("total", *labels), _clauses(clause, parts), ((name, "numbers"), (second, "count")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
    )  # fmt: skip


def list_loop(rng: random.Random) -> Draft:
    """A list to which a loop appends one value or another, and then one or two operations."""
    make = Maker(rng)
    kind = rng.choice(("numbers", "words"))
    x, noun = ELEMENT[kind]
    name, second = rng.choice(words.ARGUMENTS[kind]), rng.choice(words.SECOND["int"])
    test = make.piece(TESTS[kind], x, f"the {noun}")
    yes, no = (make.piece(VALUES[kind], x, f"the {noun}") for _ in range(2))
    labels, parts, names = follow(make, kind, "result", rng.randint(1, 2), second)
    clause = (
        f"~start with an empty list result, for each {noun} in {name} ~append {yes.words} if it {test.words}"
        f" and {no.words} otherwise"
    )
    body = (
        f"    result = []\n    for {x} in {name}:\n        if {test.code}:\n            result.append({yes.code})\n"
        f"        else:\n            result.append({no.code})\n"
    )

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        return [(yes if test.value(y, constants) else no).value(y, constants) for y in given[0]]

    return Draft(
        ("build", *labels), _clauses(clause, parts), ((name, kind), (second, "count")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
    )  # fmt: skip


def pairs(rng: random.Random) -> Draft:
    """A total over the pairs of two lists, and then an operation."""
    make = Maker(rng)
    name, others = rng.choice(words.ARGUMENTS["numbers"]), rng.choice(words.SECOND["numbers"])
    test = make.piece(PAIR_TESTS, "", "")
    yes, no = (make.piece(PAIR_VALUES, "", "") for _ in range(2))
    labels, parts, names = follow(make, "int", "total", 1)
    clause = (
        f"~start total at 0, for each pair a, b of {name} and {others} ~add {yes.words} to total if {test.words}"
        f" and {no.words} otherwise"
    )
    body = (
        f"    total = 0\n    for a, b in zip({name}, {others}):\n        if {test.code}:\n"
        f"            total += {yes.code}\n        else:\n            total += {no.code}\n"
    )

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        paired = list(zip(given[0], given[1], strict=False))
        return sum((yes if test.value(p, constants) else no).value(p, constants) for p in paired)

    return Draft(
        ("pair", *labels), _clauses(clause, parts), ((name, "numbers"), (others, "numbers")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
    )  # fmt: skip


def countdown(rng: random.Random) -> Draft:
    """The steps until a number is small enough, and then one or two operations."""
    make = Maker(rng)
    x, second = rng.choice(words.ARGUMENTS["int"]), rng.choice(words.SECOND["int"])
    # One less than any of them still counts down, so that the tests can tell a wrong constant.
    bound, part, less = (make.constant(range(low, 10))[0] for low in (1, 3, 2))
    labels, parts, names = follow(make, "int", "steps", rng.randint(1, 2), second)
    clause = (
        f"~start steps at 0, while {x} is greater than {bound} ~divide {x} by {part} if it is divisible by {part}"
        f" and ~subtract {less} from it otherwise, ~add 1 to steps each time"
    )
    body = (
        f"    steps = 0\n    while {x} > {bound}:\n        if {x} % {part} == 0:\n            {x} = {x} // {part}\n"
        f"        else:\n            {x} = {x} - {less}\n        steps += 1\n"
    )

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        value, steps = given[0], 0
        least, divisor, taken = constants[:3]
        while not value <= least:
            whole, rest = divmod(value, divisor)
            value, steps = (value - taken if rest else whole), steps + 1
        return steps

    return Draft(
        ("steps", *labels), _clauses(clause, parts), ((x, "int"), (second, "count")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
    )  # fmt: skip


def helped(rng: random.Random) -> Draft:
    """A helper of two operations, applied to the numbers that pass a test, and then one or two operations."""
    make = Maker(rng)
    name, second = rng.choice(words.ARGUMENTS["numbers"]), rng.choice(words.SECOND["int"])
    helper, y = rng.choice(words.HELPERS), rng.choice(words.ARGUMENTS["int"])
    first, last = rng.sample(SAME["int"], 2)
    inner = [make.operation(first, y, y), make.operation(last, y, "the result")]
    test = make.piece(NUMBER_TESTS, "x", "the number")
    labels, parts, names = follow(make, "numbers", name, rng.randint(1, 2), second, "the result")
    told = words.said(f"{inner[0].words} and then {inner[1].words}")
    clause = f"~use a helper {helper}({y}) that {told}, ~apply {helper} to each number in {name} that {test.words}"
    body = f"    {name} = [{helper}(x) for x in {name} if {test.code}]\n"

    def run(constants: Constants, given: Sequence[Any]) -> Any:
        chosen = [x for x in given[0] if test.value(x, constants)]
        return [inner[1].value(inner[0].value(x, constants), constants) for x in chosen]

    return Draft(
        (helper, *labels), _clauses(clause, parts), ((name, "numbers"), (second, "count")),
        body + written(parts, names), tuple(make.constants), _after(run, parts),
        helper=f"def {helper}({y}):\n{written(inner, [y, y])}",
    )  # fmt: skip
