"""The whole field of planners over several tasks: each family's own points, and who is ahead at equal calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.cells import SweepError
from dus.evaluation.intervals import DRAWS, TOKEN_BY_TOKEN, Interval
from dus.evaluation.report.aup import aup
from dus.evaluation.report.results import Paired, Result, Section, paired

SLACK = 0.05
"""The share of calls that a peer may make more and still count as one at equal calls."""

Setting = tuple[str, int]
"""A planner's text and a block length."""


def family(planner: str) -> str:
    """What a planner is called without its settings: `eb(gamma=2) | spaced(gap=8)` is `eb | spaced`."""
    return " | ".join(re.sub(r"\(.*", "", part.strip()) for part in planner.split("|"))


def families(section: Section) -> dict[str, list[Result]]:
    """The results of each family, at all its settings and block lengths."""
    found: dict[str, list[Result]] = {}
    for result in section.results:
        found.setdefault(family(result.planner), []).append(result)
    return found


def finished(sections: Sequence[Section]) -> list[Section]:
    """The sections without block lengths at which some planner of the sweep is still missing: a peer that was not run
    yet beats nobody. Token by token, which is run at one length, counts where it is.

    Raises:
        SweepError: No block length is finished on every task.
    """
    planners = {one.planner for section in sections for one in section.results} - {TOKEN_BY_TOKEN}
    kept, shared = [], set.intersection(*(set(section.block_lengths) for section in sections))
    for section in sections:
        run = {(one.planner, one.block_length) for one in section.results}
        whole = {length for length in section.block_lengths if all((planner, length) in run for planner in planners)}
        shared &= whole
        kept.append(replace(section, results=tuple(one for one in section.results if one.block_length in whole)))
    if not shared:
        raise SweepError("no block length is finished on every task: the sweep goes on where it was stopped")
    return kept


def peer(section: Section, ours: Result) -> Result | None:
    """The best of another family at the same block length in at most `SLACK` more calls; None where none is as fast.

    Of equally good ones it is the one with fewer calls.
    """
    most = (1 + SLACK) * ours.measures["nfe"].value
    others = [
        one
        for one in section.results
        if family(one.planner) != family(ours.planner)
        and one.block_length == ours.block_length
        and one.measures["nfe"].value <= most
    ]
    return max(others, key=lambda one: (one.score.mean(), -one.measures["nfe"].value), default=None)


@dataclass(frozen=True)
class Match:
    """Our planner and the best peer at equal calls, on the same problems."""

    section: Section
    ours: Result
    theirs: Result
    pair: Paired


def matches(sections: Sequence[Section], planner: str) -> Iterator[Match]:
    """The matches of a planner, on each task at each block length where there is a peer."""
    for section in sections:
        for ours in section.results:
            theirs = peer(section, ours) if ours.planner == planner else None
            if theirs is not None:
                yield Match(section, ours, theirs, paired(ours, theirs))


def envelope(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (speed, accuracy) those that no other one equals or beats in both, by rising speed."""
    kept: list[tuple[float, float]] = []
    for speed, accuracy in sorted(set(points), reverse=True):
        if not kept or accuracy > kept[-1][1]:
            kept.append((speed, accuracy))
    return kept[::-1]


@dataclass(frozen=True)
class Overall:
    """What one setting does over all tasks: means over tasks of the share of right answers, and of calls a problem."""

    planner: str
    block_length: int
    score: Interval
    calls: float

    def beats(self, other: Overall) -> bool:
        """Whether it has as many right answers in as few calls, and one of them is better."""
        at_least = self.score.value >= other.score.value and self.calls <= other.calls
        return at_least and (self.score.value, self.calls) != (other.score.value, other.calls)


class Suite:
    """Sections on different tasks that were all decoded at the same settings, and bootstrap draws of their problems.

    Args:
        sections: The sections, at least one; settings that some of them lack are left out.
        draws: How many draws of each section's problems; every planner sees the same.
        seed: The seed of the draws.
    """

    def __init__(self, sections: Sequence[Section], *, draws: int = DRAWS, seed: int = 0) -> None:
        self.sections = sections
        by_setting = [{(one.planner, one.block_length): one for one in section.results} for section in sections]
        self.settings: list[Setting] = [key for key in by_setting[0] if all(key in each for each in by_setting)]
        rng = np.random.default_rng(seed)
        tables = [_drawn([each[key] for key in self.settings], draws, rng) for each in by_setting]
        self.accuracy, self.speed = (np.stack(parts) for parts in zip(*tables, strict=True))
        self.calls = np.array([[each[key].measures["nfe"].value for key in self.settings] for each in by_setting])

    @cached_property
    def overall(self) -> list[Overall]:
        """Every setting over all tasks, by rising calls."""
        means = self.accuracy.mean(axis=0)
        found = [
            Overall(planner, length, _interval(means[:, column] / 100), float(self.calls[:, column].mean()))
            for column, (planner, length) in enumerate(self.settings)
        ]
        return sorted(found, key=lambda one: (one.calls, -one.score.value))

    @property
    def frontier(self) -> list[Overall]:
        """The settings that no other one beats."""
        return [one for one in self.overall if not any(other.beats(one) for other in self.overall)]

    @cached_property
    def areas(self) -> dict[str, NDArray[np.float64]]:
        """For each family its AUP, the mean over tasks: float `[1 + draws]`, first that of the problems as they are."""
        return {name: several.mean(axis=0) for name, several in self.areas_by_task.items()}

    @cached_property
    def areas_by_task(self) -> dict[str, NDArray[np.float64]]:
        """For each family its AUP on each task: float `[T, 1 + draws]`, first that of the problems as they are.

        The points of a family on a task are those of its settings and block lengths that no other of its own beats.
        """
        found = {}
        for name in dict.fromkeys(family(planner) for planner, _ in self.settings):
            own = [column for column, (planner, _) in enumerate(self.settings) if family(planner) == name]
            areas = [
                [
                    aup(envelope(list(zip(speed[own], accuracy[own], strict=True))), accuracy.max())
                    for speed, accuracy in zip(speeds, accuracies, strict=True)
                ]
                for speeds, accuracies in zip(self.speed, self.accuracy, strict=True)
            ]
            found[name] = np.array(areas)
        return found

    def area(self, name: str, over: str | None = None, task: int | None = None) -> Interval:
        """A family's AUP, or how many times another one's it is, with its interval; over all tasks, or on one."""
        areas = self.areas if task is None else {each: several[task] for each, several in self.areas_by_task.items()}
        return _interval(areas[name] / (1 if over is None else areas[over]))


def _drawn(results: Sequence[Result], draws: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Accuracy in percent and tokens a call, float `[1 + draws, K]` each, first those of the problems as they are."""
    count = len(results[0].score)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    weights = np.vstack([np.ones(count, dtype=weights.dtype), weights])
    score = np.stack([result.score for result in results], axis=1)
    tokens, calls = (
        np.stack([result.counts[name].sum(axis=0) for result in results], axis=1) for name in ("useful", "nfe")
    )
    return 100 * (weights @ score) / count, (weights @ tokens) / (weights @ calls)


def _interval(values: NDArray[np.float64]) -> Interval:
    """The first of the values, with the 95% percentile interval of the others."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))
