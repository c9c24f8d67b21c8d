"""What the functions of the code problems do to a list of numbers or of words; `operations` has the form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dus.lab.tasks.code.operations import NUMBER_TESTS, NUMBER_VALUES, WORD_TESTS, WORD_VALUES, Function, Piece, taking

SEPARATORS = ("-", ", ", " ", "/", ":", "_", " and ", ";")

_NUMBERS: tuple[tuple[Any, ...], ...] = (
    ("sort", "numbers", "~sort {x} | ~sort {x} in ascending order", "sorted({x})", lambda x, c: sorted(x)),
    ("rank", "numbers", "~sort {x} in descending order | ~sort {x} from largest to smallest",
        "sorted({x}, reverse=True)", lambda x, c: sorted(x)[::-1]),
    ("reverse", "numbers", "~reverse {x} | ~return {x} in reverse order", "{x}[::-1]", lambda x, c: list(reversed(x))),
    ("unique", "numbers", "~sort the distinct numbers in {x}", "sorted(set({x}))",
        lambda x, c: sorted(dict.fromkeys(x))),
    ("head", "numbers", "~take the first {c} items of {x}", "{x}[:{c}]",
        lambda x, c: [y for i, y in enumerate(x) if i < c], range(2, 7)),
    ("tail", "numbers", "~take the last {c} items of {x}", "{x}[-{c}:]", lambda x, c: x[max(len(x) - c, 0) :],
        range(2, 7)),
    ("skip", "numbers", "~drop the first {c} items of {x}", "{x}[{c}:]",
        lambda x, c: [y for i, y in enumerate(x) if i >= c], range(1, 6)),
    ("append", "numbers", "~append {c} to {x} | ~add {c} to the end of {x}", "{x} + [{c}]", lambda x, c: [*x, c],
        range(1, 100)),
    ("prepend", "numbers", "~put {c} in front of {x}", "[{c}] + {x}", lambda x, c: [c, *x], range(1, 100)),
    ("sum", "int", "~add up the numbers in {x} | ~return the sum of {x}", "sum({x})", lambda x, c: sum(x)),
    ("size", "int", "~count the items in {x}", "len({x})", lambda x, c: sum(1 for _ in x)),
    ("largest", "int", "~find the largest number in {x}, or 0 if it is empty", "max({x}, default=0)",
        lambda x, c: sorted(x)[-1] if x else 0),
    ("smallest", "int", "~find the smallest number in {x}, or 0 if it is empty", "min({x}, default=0)",
        lambda x, c: sorted(x)[0] if x else 0),
    ("count", "int", "~count how often {c} occurs in {x}", "{x}.count({c})", lambda x, c: sum(y == c for y in x),
        range(1, 30)),
    ("first", "int", "~return the first item of {x}", "{x}[0]", lambda x, c: next(iter(x)), None, True),
    ("last", "int", "~return the last item of {x}", "{x}[-1]", lambda x, c: next(reversed(x)), None, True),
    ("span", "int", "~subtract the smallest number in {x} from the largest", "max({x}) - min({x})",
        lambda x, c: sorted(x)[-1] - sorted(x)[0], None, True),
    ("join", "text", "~join the numbers in {x} with {c}", "{c}.join(str(x) for x in {x})",
        lambda x, c: c.join(map(str, x)), SEPARATORS),
    ("contains", "bool", "~check whether {c} is in {x}", "{c} in {x}", lambda x, c: any(y == c for y in x),
        range(1, 30)),
)  # fmt: skip
_WORDS: tuple[tuple[Any, ...], ...] = (
    ("sort", "words", "~sort {x} alphabetically", "sorted({x})", lambda x, c: sorted(x)),
    ("by_length", "words", "~sort {x} by length", "sorted({x}, key=len)",
        lambda x, c: sorted(x, key=lambda y: sum(1 for _ in y))),
    ("reverse", "words", "~reverse the order of {x}", "{x}[::-1]", lambda x, c: list(reversed(x))),
    ("head", "words", "~take the first {c} items of {x}", "{x}[:{c}]",
        lambda x, c: [y for i, y in enumerate(x) if i < c], range(2, 6)),
    ("tail", "words", "~take the last {c} items of {x}", "{x}[-{c}:]", lambda x, c: x[max(len(x) - c, 0) :],
        range(2, 6)),
    ("size", "int", "~count the items in {x}", "len({x})", lambda x, c: sum(1 for _ in x)),
    ("letters", "int", "~add up the lengths of the words in {x}", "sum(len(word) for word in {x})",
        lambda x, c: len("".join(x))),
    ("lengths", "numbers", "~list the lengths of the words in {x}", "[len(word) for word in {x}]",
        lambda x, c: list(map(len, x))),
    ("longest", "text", '~find the first longest word in {x}, or "" if it is empty', 'max({x}, key=len, default="")',
        lambda x, c: next((y for y in x if len(y) == max(map(len, x))), "")),
    ("initials", "text", "~join the first letters of the words in {x}", '"".join(word[:1] for word in {x})',
        lambda x, c: "".join(y[0] for y in x if y)),
    ("join", "text", "~join the words in {x} with {c}", "{c}.join({x})", lambda x, c: c.join(x), SEPARATORS),
)  # fmt: skip


def _over(function: Function, collect: Callable[[list[Any], list[Any]], Any]) -> Function:
    """The reference that applies `function` to every item and collects the items and what it made of them."""
    return lambda x, c: collect(x, [function(y, c) for y in x])


def _chosen(items: list[Any], passed: list[Any]) -> list[Any]:
    return [item for item, good in zip(items, passed, strict=True) if good]


def _testing(x: str, noun: str, kind: str, tests: Sequence[Piece]) -> tuple[list[tuple[Any, ...]], ...]:
    """Rows that keep the items which pass a test, and rows that count them."""
    keep, count = [], []
    for test in tests:
        code, more = test.code.replace("{x}", x), f"each {noun} in {{x}} that {test.words}"
        kept = _over(test.function, _chosen)
        counted = _over(test.function, lambda items, passed: passed.count(True))
        keep.append(("keep", kind, f"~keep {more}", f"[{x} for {x} in {{x}} if {code}]", kept, test.constants))
        count.append(("count", "int", f"~count {more}", f"sum({code} for {x} in {{x}})", counted, test.constants))
    return keep, count


def _any(tests: Sequence[Piece]) -> Iterator[tuple[Any, ...]]:
    for test in tests:
        words, code = f"~check whether any number in {{x}} {test.words}", test.code.replace("{x}", "x")
        function = _over(test.function, lambda items, passed: True in passed)
        yield "any", "bool", words, f"any({code} for x in {{x}})", function, test.constants


def _replacing(x: str, noun: str, kind: str, values: Sequence[Piece]) -> Iterator[tuple[Any, ...]]:
    for value in values:
        words = f"~replace each {noun} in {{x}} by " + value.words.rstrip(",").replace("{it}", f"the {noun}")
        code = f"[{value.code.replace('{x}', x)} for {x} in {{x}}]"
        yield "map", kind, words, code, _over(value.function, lambda items, made: made), value.constants


_KEEP_NUMBERS, _COUNT_NUMBERS = _testing("x", "number", "numbers", NUMBER_TESTS)
_KEEP_WORDS, _COUNT_WORDS = _testing("word", "word", "words", WORD_TESTS)
_EACH_NUMBER = taking(
    "numbers",
    (
        *_KEEP_NUMBERS,
        *_COUNT_NUMBERS,
        *_any(NUMBER_TESTS),
        *_replacing("x", "number", "numbers", NUMBER_VALUES),
    ),
)
_EACH_WORD = taking("words", (*_KEEP_WORDS, *_COUNT_WORDS, *_replacing("word", "word", "words", WORD_VALUES)))
EACH = (*_EACH_NUMBER, *_EACH_WORD)
"""Those that look at each item of a list by itself."""
NUMBERS = (*taking("numbers", _NUMBERS), *_EACH_NUMBER)
WORDS = (*taking("words", _WORDS), *_EACH_WORD)
