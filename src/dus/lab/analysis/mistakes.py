"""The table of `dus.lab.analysis.errors`: what goes wrong, and whether early results are wrong more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dus.evaluation.intervals import Interval, wilson
from dus.lab.analysis.errors import ERROR_KINDS, FirstError, first_error, last_share, results
from dus.lab.analysis.traced import Traced
from dus.writing.tables import Table, as_lines


@dataclass(frozen=True)
class Mistakes:
    """What went wrong under one planner at one block length.

    Attributes:
        planner: The text of the planner.
        block_length: Positions of a block.
        answers: How many.
        first: The first error of each wrong answer.
        last_share: The share of all tokens before the end that the last step of their block wrote.
        counts: How many results are (right, early).
    """

    planner: str
    block_length: int
    answers: int
    first: tuple[FirstError, ...]
    last_share: float
    counts: Counter[tuple[bool, bool]]

    def early(self, *, right: bool) -> tuple[int, int]:
        """Of the right (or wrong) results, how many are early, and how many there are."""
        early = self.counts[right, True]
        return early, early + self.counts[right, False]

    def wrong(self, *, early: bool) -> Interval:
        """The share of wrong ones among the early (or the other) results, with Wilson's 95% interval."""
        wrong = self.counts[False, early]
        return wilson(wrong, wrong + self.counts[True, early])


def mistakes(run: Traced) -> Mistakes:
    """What went wrong in a run on problems with worked solutions.

    Raises:
        AnalysisError: An answer has no worked solution, or its text was not read.
    """
    errors = [first_error(answer, run.block_length) for answer in run.answers]
    return Mistakes(
        planner=run.planner,
        block_length=run.block_length,
        answers=len(run.answers),
        first=tuple(error for error in errors if error is not None),
        last_share=last_share(run),
        counts=Counter((one.right, one.early) for answer in run.answers for one in results(answer)),
    )


def where(found: Iterable[Mistakes]) -> Table:
    """The first errors by kind, and how many of them the last step of their block wrote."""
    rows = [
        (
            each.planner,
            f"{each.block_length}",
            f"{len(each.first)} of {each.answers}",
            *(f"{sum(error.kind == kind for error in each.first)}" for kind in ERROR_KINDS),
            _of(sum(error.last for error in each.first), len(each.first)),
            f"{each.last_share:.0%}",
        )
        for each in found
    ]
    return Table(("planner", "block", "wrong answers", *ERROR_KINDS, "in a last step", "of all tokens"), tuple(rows))


def order(found: Iterable[Mistakes]) -> Table:
    """How many results were written early, and how often early ones are wrong."""
    rows = [
        (
            each.planner,
            f"{each.block_length}",
            _of(*each.early(right=False)),
            _of(*each.early(right=True)),
            each.wrong(early=True).text(0, percent=True),
            each.wrong(early=False).text(0, percent=True),
        )
        for each in found
    ]
    head = ("planner", "block", "early, of wrong", "early, of right", "wrong, of early", "wrong, of others")
    return Table(head, tuple(rows))


def as_csv(found: Iterable[Mistakes]) -> str:
    """The counts of both tables."""
    kinds = [f"first_{kind}" for kind in ERROR_KINDS]
    early = ["wrong_early", "wrong_results", "right_early", "right_results"]
    lines: list[list[object]] = [
        ["planner", "block_length", "answers", "wrong", *kinds, "first_in_last_step", "tokens_in_last_step", *early]
    ]
    for each in found:
        count = Counter(error.kind for error in each.first)
        last = sum(error.last for error in each.first)
        own = [*each.early(right=False), *each.early(right=True)]
        cells = [len(each.first), *(count[kind] for kind in ERROR_KINDS), last, f"{each.last_share:.6g}", *own]
        lines.append([each.planner, each.block_length, each.answers, *cells])
    return as_lines(lines)


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f" ({part / whole:.0%})" if whole else "")
