"""Where wrong answers come from, in answers whose steps can be checked.

An answer is read as equations `a op b = c` and the number after its last `####`. Each `c`, and that last number, is a
*result*: it is right where `c` is what `a op b` makes, or where the last number is the last equation's `c`. A result
is *early* if any token of it was written before, or in the same step as, a token of what it follows from (`a` and `b`;
for the last number, the last `c`): it was written without knowing all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Literal

import numpy as np

from dus.evaluation.spacing import AnalysisError
from dus.lab.analysis.traced import Answer, Traced

Kind = Literal["operand", "result", "answer", "form"]
ERROR_KINDS: dict[Kind, str] = {
    "operand": "an equation other than the solution's",
    "result": "a result that its equation does not make",
    "answer": "a number after #### that is not the last result",
    "form": "an equation too few, or no number after ####",
}

_NUMBER = r"\d+(?:\.\d+)?"
# Not the tail of a longer expression; the result may begin the next equation, so it is only looked at.
_EQUATION = re.compile(
    rf"(?<![-+*/.\d])(?<![-+*/]\s)({_NUMBER})\s*([-+*/])\s*({_NUMBER})\s*=\s*(?=({_NUMBER})(?![.]?\d))"
)
_ANSWER = re.compile(rf"####\s*({_NUMBER})")
_LARGEST = 18  # digits; longer numbers are nobody's result


@dataclass(frozen=True)
class Span:
    """A part of a text: its characters from `start` to `stop`."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Equation:
    """`a op b = c` as it stands in a text."""

    a: Span
    sign: Span
    b: Span
    c: Span

    @property
    def holds(self) -> bool:
        """Whether c is what a op b makes, exactly."""
        from fractions import Fraction

        a, b, c = (Fraction(span.text) for span in (self.a, self.b, self.c))
        if self.sign.text == "/":
            return b != 0 and a == b * c
        return c == {"+": a + b, "-": a - b, "*": a * b}[self.sign.text]

    @property
    def asks(self) -> tuple[str, ...]:
        """What is asked for, equal for equations that differ only in the order of a sum or a product."""
        operands = (self.a.text, self.b.text)
        return (self.sign.text, *(sorted(operands) if self.sign.text in "+*" else operands))


@dataclass(frozen=True)
class Result:
    """A result of an answer: whether it is right, and whether it was written early (see the module)."""

    right: bool
    early: bool


@dataclass(frozen=True)
class FirstError:
    """The first thing that is wrong in a wrong answer.

    Attributes:
        kind: One of `ERROR_KINDS`.
        position: The position of its first token, counted from the answer's first.
        step: The step of its block, from 0, that wrote this token.
        last: Whether that was the last step of its block.
    """

    kind: Kind
    position: int
    step: int
    last: bool


def equations(text: str) -> list[Equation]:
    """The equations of a text, in its order."""
    found = []
    for match in _EQUATION.finditer(text):
        spans = [Span(match[group], *match.span(group)) for group in range(1, 5)]
        if all(len(span.text) <= _LARGEST for span in spans):
            found.append(Equation(*spans))
    return found


def final_number(text: str) -> Span | None:
    """The number after the last `####`."""
    matches = list(_ANSWER.finditer(text))
    return Span(matches[-1][1], *matches[-1].span(1)) if matches else None


def results(answer: Answer) -> Iterator[Result]:
    """Each result of an answer, in its order."""
    where = _Places(answer)
    found = equations(answer.text)
    for equation in found:
        yield Result(equation.holds, where.early(equation.c, [equation.a, equation.b]))
    final = final_number(answer.text)
    if final is not None and found:
        yield Result(final.text == found[-1].c.text, where.early(final, [found[-1].c]))


def first_error(answer: Answer, block_length: int) -> FirstError | None:
    """The first error of an answer; None where the task accepts it.

    Raises:
        AnalysisError: The answer has no worked solution.
    """
    if answer.solution is None or answer.right is None:
        raise AnalysisError(
            "where errors begin is seen by a worked solution: it takes the answers to a task's problems, "
            "as `dus analyze --task arithmetic --errors` makes them"
        )
    if answer.right:
        return None
    kind, at = _first_wrong(answer.text, answer.solution)
    position = _Places(answer).position(at)
    steps = answer.block_steps(block_length)
    block = steps[position // block_length * block_length :][:block_length]
    return FirstError(kind, position, max(int(steps[position]), 0), bool(steps[position] == block.max()))


def last_share(traced: Traced) -> float:
    """The share of tokens before the end that the last step of their block wrote."""
    last = total = 0
    for answer in traced.answers:
        steps = answer.block_steps(traced.block_length)
        for start in range(0, answer.useful, traced.block_length):
            block = steps[start : start + traced.block_length]
            mine = block[: answer.useful - start]
            last += int((mine == block.max()).sum())
            total += len(mine)
    return last / total if total else float("nan")


def _first_wrong(text: str, solution: str) -> tuple[Kind, int]:
    """The kind of the first error of a wrong answer, and the character where it begins."""
    final = final_number(text)
    ours = equations(text)
    for mine, theirs in zip_longest(ours, equations(solution)):
        if mine is None:
            break
        if theirs is None or mine.asks != theirs.asks:
            return "operand", _differing(mine, theirs)
        if not mine.holds:
            return "result", mine.c.start
    if final is not None and ours and final.text != ours[-1].c.text:
        return "answer", final.start
    return "form", final.start if final is not None else max(len(text) - 1, 0)


def _differing(mine: Equation, theirs: Equation | None) -> int:
    """The character where an equation leaves the one that was asked for."""
    if theirs is None:
        return mine.a.start
    parts = ((mine.a, theirs.a), (mine.sign, theirs.sign), (mine.b, theirs.b))
    return next(ours.start for ours, other in parts if ours.text != other.text)


class _Places:
    """From characters of an answer's text to positions and the steps that wrote them."""

    def __init__(self, answer: Answer) -> None:
        ends = accumulate(len(piece) for piece in answer.pieces[: answer.useful])
        self.ends = np.array(list(ends), dtype=np.int64)
        self.step = answer.step

    def position(self, character: int) -> int:
        """The position whose token holds a character; the last one for what stands behind the text."""
        return min(int(np.searchsorted(self.ends, character, side="right")), max(len(self.step) - 1, 0))

    def steps(self, span: Span) -> list[int]:
        """The steps that wrote the tokens of a part of the text."""
        return self.step[self.position(span.start) : self.position(span.stop - 1) + 1].tolist()

    def early(self, result: Span, operands: list[Span]) -> bool:
        """Whether a token of the result was written before or together with a token of an operand."""
        return min(self.steps(result)) <= max(step for operand in operands for step in self.steps(operand))
