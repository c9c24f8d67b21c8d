"""What the functions of the code problems do to a number or a text, and what they say of one.

A piece is what a loop, a filter or a condition says of a number or word; an operation acts on a whole value. Both have
words, a source and a callable: the source is what a solution prints, the callable the reference that the hidden tests
come from. `~` marks a verb, which a question inflects; ` | ` is between wordings. `{x}` is the variable or the value,
`{it}` how the words speak of it, `{c}` the constant or the argument in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


@dataclass(frozen=True)
class Operation:
    """One operation from a value of one kind to one of another.

    `first`: it would fail, or its result would be huge, on some values that other operations give, and so it stands
    first, on inputs chosen for it.
    """

    label: str
    takes: str
    gives: str
    phrases: tuple[str, ...]
    code: str
    function: Function
    constants: Sequence[int | str] | None = None
    first: bool = False


def taking(kind: str, rows: Iterable[tuple[Any, ...]]) -> tuple[Operation, ...]:
    """The operations on that kind: (label, kind it gives, wordings, source, callable, constants, whether first)."""
    return tuple(
        Operation(label, kind, gives, tuple(wordings.split(" | ")), *rest) for label, gives, wordings, *rest in rows
    )


_INTS: tuple[tuple[Any, ...], ...] = (
    ("add", "int", "~add {c} to {x} | ~increase {x} by {c}", "{x} + {c}", lambda x, c: c + x, range(1, 100)),
    ("subtract", "int", "~subtract {c} from {x} | ~decrease {x} by {c}", "{x} - {c}", lambda x, c: -c + x,
        range(1, 100)),
    ("complement", "int", "~subtract {x} from {c}", "{c} - {x}", lambda x, c: -x + c, range(10, 100)),
    ("scale", "int", "~multiply {x} by {c} | ~return {c} times {x}", "{x} * {c}", lambda x, c: c * x, range(3, 100)),
    ("double", "int", "~double {x} | ~return twice {x}", "{x} * 2", lambda x, c: x + x),
    ("triple", "int", "~triple {x}", "{x} * 3", lambda x, c: x + x + x),
    ("halve", "int", "~halve {x}, rounding down", "{x} // 2", lambda x, c: x >> 1),
    ("divide", "int", "~divide {x} by {c}, rounding down", "{x} // {c}", lambda x, c: (x - x % c) // c, range(3, 20)),
    ("remainder", "int", "~take {x} modulo {c} | ~compute the remainder of {x} divided by {c}", "{x} % {c}",
        lambda x, c: x - x // c * c, range(3, 100)),
    ("square", "int", "~square {x} | ~compute the square of {x}", "{x} ** 2", lambda x, c: x * x),
    ("cube", "int", "~cube {x}", "{x} ** 3", lambda x, c: x * x * x),
    ("negate", "int", "~negate {x} | ~flip the sign of {x}", "-{x}", lambda x, c: 0 - x),
    ("absolute", "int", "~take the absolute value of {x}", "abs({x})", lambda x, c: max(x, -x)),
    ("at_least", "int", "~take the larger of {x} and {c}", "max({x}, {c})", lambda x, c: x if x >= c else c,
        range(1, 50)),
    ("at_most", "int", "~take the smaller of {x} and {c}", "min({x}, {c})", lambda x, c: x if x <= c else c,
        range(1, 50)),
    ("digits", "text", "~convert {x} to a string", "str({x})", lambda x, c: f"{x:d}"),
    ("count_up", "numbers", "~list the numbers from 1 to {x}", "list(range(1, {x} + 1))",
        lambda x, c: [i + 1 for i in range(x)], None, True),
    ("count_down", "numbers", "~list the numbers from {x} down to 1", "list(range({x}, 0, -1))",
        lambda x, c: [x - i for i in range(x)], None, True),
)  # fmt: skip
_TEXTS: tuple[tuple[Any, ...], ...] = (
    ("upper", "text", "~convert {x} to upper case | ~return {x} in upper case", "{x}.upper()", lambda x, c: x.upper()),
    ("lower", "text", "~convert {x} to lower case | ~return {x} in lower case", "{x}.lower()", lambda x, c: x.lower()),
    ("title", "text", "~convert {x} to title case", "{x}.title()", lambda x, c: x.title()),
    ("swap", "text", "~swap the case of every letter in {x}", "{x}.swapcase()",
        lambda x, c: "".join(y.lower() if y.isupper() else y.upper() for y in x)),
    ("reverse", "text", "~reverse {x} | ~return {x} backwards", "{x}[::-1]", lambda x, c: "".join(reversed(x))),
    ("strip", "text", "~remove the spaces around {x}", "{x}.strip()", lambda x, c: x.strip(" ")),
    ("squeeze", "text", "~remove all spaces from {x}", '{x}.replace(" ", "")', lambda x, c: "".join(x.split(" "))),
    ("head", "text", "~take the first {c} characters of {x}", "{x}[:{c}]",
        lambda x, c: "".join(y for i, y in enumerate(x) if i < c), range(2, 10)),
    ("tail", "text", "~take the last {c} characters of {x}", "{x}[-{c}:]", lambda x, c: x[max(len(x) - c, 0) :],
        range(2, 10)),
    ("skip", "text", "~drop the first {c} characters of {x}", "{x}[{c}:]",
        lambda x, c: "".join(y for i, y in enumerate(x) if i >= c), range(2, 10)),
    ("chop", "text", "~drop the last {c} characters of {x}", "{x}[:-{c}]", lambda x, c: x[: max(len(x) - c, 0)],
        range(2, 10)),
    ("every", "text", "~take every {c}th character of {x}, starting with the first", "{x}[::{c}]",
        lambda x, c: "".join(y for i, y in enumerate(x) if i % c == 0), range(4, 8)),
    ("repeat", "text", "~repeat {x} {c} times", "{x} * {c}", lambda x, c: "".join(x for _ in range(c)), range(2, 6)),
    ("remove", "text", "~remove every {c} from {x}", '{x}.replace({c}, "")', lambda x, c: "".join(x.split(c)), LETTERS),
    ("append", "text", "~append {c} to {x} | ~add {c} to the end of {x}", "{x} + {c}", lambda x, c: f"{x}{c}", MARKS),
    ("prefix", "text", "~put {c} in front of {x}", "{c} + {x}", lambda x, c: f"{c}{x}", MARKS),
    ("sort", "text", "~sort the characters of {x}", '"".join(sorted({x}))', lambda x, c: "".join(sorted(x))),
    ("length", "int", "~return the length of {x} | ~count the characters in {x}", "len({x})",
        lambda x, c: sum(1 for _ in x)),
    ("count", "int", "~count how often {c} occurs in {x}", "{x}.count({c})", lambda x, c: sum(y == c for y in x),
        LETTERS),
    ("find", "int", "~find the first position of {c} in {x}, or -1 where there is none", "{x}.find({c})",
        lambda x, c: next((i for i, y in enumerate(x) if y == c), -1), LETTERS),
    ("vowels", "int", "~count the lower-case vowels in {x}", 'sum(char in "aeiou" for char in {x})',
        lambda x, c: sum(x.count(y) for y in "aeiou")),
    ("split", "words", "~split {x} at white space | ~split {x} into words", "{x}.split()", lambda x, c: x.split()),
    ("palindrome", "bool", "~check whether {x} is a palindrome", "{x} == {x}[::-1]",
        lambda x, c: list(x) == list(reversed(x))),
    ("starts", "bool", "~check whether {x} starts with {c}", "{x}.startswith({c})", lambda x, c: x[:1] == c, LETTERS),
    ("ends", "bool", "~check whether {x} ends with {c}", "{x}.endswith({c})", lambda x, c: x[-1:] == c, LETTERS),
    ("contains", "bool", "~check whether {x} contains {c}", "{c} in {x}", lambda x, c: x.find(c) >= 0, LETTERS),
)  # fmt: skip

INTS = taking("int", _INTS)
CHECKS = taking(
    "int",
    [("check", "bool", "~check whether {x} " + t.words, t.code, t.function, t.constants) for t in NUMBER_TESTS],
)
TEXTS = taking("text", _TEXTS)
