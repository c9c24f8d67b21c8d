"""Accuracy under parallelism: one number for a curve of accuracy over tokens a call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from dus.evaluation.intervals import DRAWS, Interval
from dus.evaluation.report.results import Section

STEEPNESS, TOLERANCE = 3.0, 5.0


def aup(points: Iterable[tuple[float, float]], best: float) -> float:
    """The area under accuracy over parallelism, low accuracy counting less.

    Points `(ρ_i, y_i)` by rising ρ; those with `y_i < y_1 - 5` are left out, and of the others

        AUP = ρ_1 y_1 + Σ_{i≥2} (ρ_i - ρ_{i-1}) (y_i W(y_i) + y_{i-1} W(y_{i-1})) / 2
        W(y) = min(exp(-3 (1 - y / y_max)), 1)

    The metric of hao-ai-lab's d3LLM (arXiv 2601.07568).

    Args:
        points: Pairs of tokens a call, and accuracy in percent.
        best: The best accuracy of all planners compared, y_max, in percent.
    """
    curve = sorted(points)
    kept = [(speed, accuracy) for speed, accuracy in curve if accuracy >= curve[0][1] - TOLERANCE]
    if best <= 0:
        return 0.0

    def weighted(accuracy: float) -> float:
        return accuracy * min(math.exp(-STEEPNESS * (1 - accuracy / best)), 1.0)

    area = kept[0][0] * kept[0][1]
    for (slower, before), (faster, after) in pairwise(kept):
        area += (faster - slower) * (weighted(after) + weighted(before)) / 2
    return area


def aups(section: Section, *, draws: int = DRAWS, seed: int = 0) -> dict[tuple[str, str], Interval]:
    """For each planner and cache mode its AUP over block lengths, with the 95% bootstrap interval.

    Each draw of problems is the same for all planners, and y_max is the best accuracy in that draw.
    """
    rng = np.random.default_rng(seed)
    count = section.problems
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    weights = np.vstack([np.ones(count, dtype=weights.dtype), weights])  # row 0: the problems as they are
    score = np.stack([result.score for result in section.results], axis=1)
    tokens, calls = (
        np.stack([result.counts[name].sum(axis=0) for result in section.results], axis=1) for name in ("useful", "nfe")
    )
    speeds, accuracies = (weights @ tokens) / (weights @ calls), 100 * (weights @ score) / count
    found = {}
    columns = {id(result): column for column, result in enumerate(section.results)}
    for line, results in section.lines.items():
        own = [columns[id(result)] for result in results]
        value, *drawn = [
            aup(zip(speed[own], accuracy[own], strict=True), accuracy.max())
            for speed, accuracy in zip(speeds, accuracies, strict=True)
        ]
        low, high = np.percentile(drawn, [2.5, 97.5])
        found[line] = Interval(float(value), float(low), float(high))
    return found
