"""The paper's table: how far apart a planner's picks are, and how sure the model is of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.intervals import Interval, ratios
from dus.evaluation.spacing import padded, spacing
from dus.lab.analysis.traced import Traced
from dus.writing.tables import Table, as_lines

MEASURES = {
    "tokens_per_step": "tokens a step",
    "distance": "pairwise distance",
    "isolated": "isolated",
    "confidence": "confidence",
    "entropy": "entropy (bits)",
}


@dataclass(frozen=True)
class Summary:
    """One planner at one block length, over its answers; intervals are 95%, by bootstrap over the answers.

    Attributes:
        planner: The text of the planner.
        block_length: Positions of a block.
        answers: How many.
        calls: Denoiser calls an answer.
        tokens_per_step: Positions unmasked, over steps.
        distance: `spacing.pairwise_distance`, all pairs counting alike.
        isolated: `spacing.isolated_share`.
        confidence: Probability of the token at the moment of unmasking, the mean over positions.
        entropy: The entropy of the position's distribution at that moment, in bits, the mean over positions.
    """

    planner: str
    block_length: int
    answers: int
    calls: float
    tokens_per_step: Interval
    distance: Interval
    isolated: Interval
    confidence: Interval
    entropy: Interval


def summarise(run: Traced) -> Summary:
    """The line of the table for one planner at one block length."""
    counts = spacing(padded(answer.step for answer in run.answers), run.block_length)
    above = [counts.unmasked, counts.distance, counts.isolated]
    below = [counts.steps, counts.pairs, counts.unmasked]
    for rows in ([answer.confidence for answer in run.answers], [answer.entropy for answer in run.answers]):
        kept = padded(rows, blank=np.nan)
        above.append(np.nansum(kept, axis=1))
        below.append((~np.isnan(kept)).sum(axis=1))
    calls = np.array([answer.calls for answer in run.answers])
    return _summary(run.planner, run.block_length, calls, above, below)


def counted(planner: str, block_length: int, samples: Sequence[Mapping[str, Any]]) -> Summary:
    """The same from the counts that a sweep keeps of each answer; of the scores it keeps none.

    Args:
        planner: The text of the planner.
        block_length: Positions of a block.
        samples: For each answer `nfe`, its denoiser calls, and `distance`, `pairs`, `isolated` and `unmasked`, as in
            `Spacing`. Tokens a step are tokens a call here.
    """
    nfe, distance, pairs, isolated, unmasked = (
        np.array([sample[name] for sample in samples], dtype=float)
        for name in ("nfe", "distance", "pairs", "isolated", "unmasked")
    )
    nothing = np.zeros(len(nfe))
    above = [unmasked, distance, isolated, nothing, nothing]
    return _summary(planner, block_length, nfe, above, [nfe, pairs, unmasked, nothing, nothing])


def _summary(
    planner: str, block_length: int, calls: NDArray, above: Sequence[NDArray], below: Sequence[NDArray]
) -> Summary:
    """A summary from the sums above and below the line of each measure, `[N]` each."""
    found = ratios(np.stack(above, axis=1), np.stack(below, axis=1))
    return Summary(planner, block_length, len(calls), float(calls.mean()), *found)


def as_table(summaries: Iterable[Summary]) -> Table:
    """The table, a line a planner and block length."""
    rows = [
        (
            each.planner,
            f"{each.block_length}",
            each.tokens_per_step.text(2),
            each.distance.text(1),
            each.isolated.text(0, percent=True),
            each.confidence.text(2),
            each.entropy.text(2),
        )
        for each in summaries
    ]
    return Table(("planner", "block", *MEASURES.values()), tuple(rows))


def as_csv(summaries: Iterable[Summary]) -> str:
    """The same numbers with all their digits, bounds in columns of their own; empty where there is no number."""
    bounds = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    lines: list[list[object]] = [["planner", "block_length", "answers", "calls", *bounds]]
    for each in summaries:
        intervals = [getattr(each, name) for name in MEASURES]
        numbers = [x for one in intervals for x in (one.value, one.low, one.high)]
        cells = ["" if np.isnan(x) else f"{x:.6g}" for x in numbers]
        lines.append([each.planner, each.block_length, each.answers, f"{each.calls:.6g}", *cells])
    return as_lines(lines)
