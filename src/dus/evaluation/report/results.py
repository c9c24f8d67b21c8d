"""What a folder of outcomes says: sections of results that can be compared, each measure with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dus.decoding.settings import CACHES
from dus.evaluation.intervals import Interval, paired_runs, ratios, share
from dus.evaluation.report.looks import look
from dus.evaluation.store import COUNTS, Outcome
from dus.evaluation.tasks import Unit

MEASURES = {  # each a ratio of sums over problems
    "nfe": ("nfe", None),
    "tpf": ("useful", "nfe"),
    "raw_tpf": ("written", "nfe"),
    "distance": ("distance", "pairs"),
    "isolated": ("isolated", "unmasked"),
}
TOLD = {
    "problems": "{} problems",
    "max_new_tokens": "{} new tokens",
    "temperature": "temperature {:g}",
    "batch_size": "batches of {}",
    "chat": "{}",
}
CHAT = {True: "in the chat template", False: "as plain text", None: "in the chat template or not"}


@dataclass(frozen=True, eq=False)
class Result:
    """One planner at one block length in one cache mode, the runs with its seeds together.

    Attributes:
        planner, cache, block_length: What was decoded with.
        seeds: The seeds of the `S` runs.
        scores: Float `[S, N]`: the scores of the runs on the `N` problems.
        counts: Float `[S, N]` for each name in `store.COUNTS`.
        seconds: The seconds that decoding a problem took.
    """

    planner: str
    cache: str
    block_length: int
    seeds: tuple[int, ...]
    scores: NDArray[np.float64]
    counts: dict[str, NDArray[np.float64]]
    seconds: float

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """Float `[N]`: each problem's score, the mean over seeds."""
        return self.scores.mean(axis=0)

    @cached_property
    def measures(self) -> dict[str, Interval]:
        """`score`, `nfe` (calls a problem), `tpf` and `raw_tpf` (tokens a call), `distance` and `isolated` (spacing).

        Intervals are 95%: of shares of solved problems Wilson's, else by bootstrap over problems, all runs of a problem
        together.
        """
        total = {name: count.sum(axis=0) for name, count in self.counts.items()}
        runs = np.full_like(self.score, len(self.seeds))
        above = [self.score, *(total[name] for name, _ in MEASURES.values())]
        below = [np.ones_like(self.score), *(runs if name is None else total[name] for _, name in MEASURES.values())]
        found = dict(zip(("score", *MEASURES), ratios(np.stack(above, axis=1), np.stack(below, axis=1)), strict=True))
        if self.solved:
            found["score"] = share(self.scores)
        return found

    @property
    def solved(self) -> bool:
        """Whether problems are either solved or not."""
        return bool(np.isin(self.scores, (0, 1)).all())

    @property
    def plain(self) -> bool:
        """Whether problems are either solved or not, in a single run."""
        return len(self.seeds) == 1 and self.solved


@dataclass(frozen=True)
class Section:
    """Results on the same prompts under the same rules, in an order for reading.

    Attributes:
        questions: The name of the questions.
        unit: The unit of the scores.
        problems: The number of problems.
        max_new_tokens, eos, temperature, batch_size: The same as in `Cell`.
        results: The results of planners, block lengths and cache modes.
        chat: Whether prompts stood in the chat template; None if that was not noted.
        digest: A digest of the prompts and of how an answer ends.
        apart: What tells it from other sections on the same questions: names in `TOLD`, or `digest`.
    """

    questions: str
    unit: Unit
    problems: int
    max_new_tokens: int
    eos: str
    temperature: float
    batch_size: int
    results: tuple[Result, ...]
    chat: bool | None = None
    digest: str = ""
    apart: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is about."""
        ends = f"end tokens {'ignored' if self.eos == 'ignore' else 'respected'}"
        told = {name: form.format(getattr(self, name)) for name, form in TOLD.items()}
        told |= {"chat": CHAT[self.chat], "digest": f"prompts {self.digest[:6]}"}
        return ", ".join((self.questions, ends, *(told[name] for name in self.apart)))

    @property
    def block_lengths(self) -> list[int]:
        """Those of the results, ascending."""
        return sorted({result.block_length for result in self.results})

    @property
    def caches(self) -> list[str]:
        """The cache modes, the exact one first."""
        return sorted({result.cache for result in self.results}, key=CACHES.index)

    @property
    def lines(self) -> dict[tuple[str, str], list[Result]]:
        """For each planner and cache mode its results, by rising block length."""
        found: dict[tuple[str, str], list[Result]] = {}
        for result in self.results:
            found.setdefault((result.planner, result.cache), []).append(result)
        return found

    def find(self, planner: str, cache: str, block_length: int) -> Result | None:
        """One result; None where that was not measured."""
        wanted = (planner, cache, block_length)
        return next((one for one in self.results if (one.planner, one.cache, one.block_length) == wanted), None)


def sections(outcomes: Iterable[Outcome]) -> list[Section]:
    """The sections that outcomes make."""
    groups: dict[tuple, list[Outcome]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        rules = (cell.questions, cell.digest, cell.problems, cell.max_new_tokens, cell.eos)
        groups.setdefault((*rules, cell.temperature, cell.batch_size), []).append(outcome)
    found = [_section(groups[key]) for key in sorted(groups)]
    return [replace(one, apart=_apart(one, found)) for one in found]


def _apart(section: Section, among: Iterable[Section]) -> tuple[str, ...]:
    alike = [one for one in among if (one.questions, one.eos) == (section.questions, section.eos)]
    names = [name for name in TOLD if any(getattr(one, name) != getattr(section, name) for one in alike)]
    same = [one for one in alike if all(getattr(one, name) == getattr(section, name) for name in names)]
    return (*names, *(["digest"] if len(same) > 1 else []))


def _section(outcomes: list[Outcome]) -> Section:
    runs: dict[tuple[str, str, int], list[Outcome]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        runs.setdefault((cell.planner, cell.cache, cell.block_length), []).append(outcome)
    results = [_result(sorted(found, key=lambda outcome: outcome.cell.seed)) for found in runs.values()]
    results.sort(key=lambda one: (look(one.planner).place, one.planner, CACHES.index(one.cache), one.block_length))
    first, cell = outcomes[0], outcomes[0].cell
    return Section(
        questions=cell.questions,
        unit=first.unit,
        problems=cell.problems,
        max_new_tokens=cell.max_new_tokens,
        eos=cell.eos,
        temperature=cell.temperature,
        batch_size=cell.batch_size,
        results=tuple(results),
        chat=first.chat,
        digest=cell.digest,
    )


def _result(runs: list[Outcome]) -> Result:
    cell = runs[0].cell

    def table(name: str) -> NDArray[np.float64]:
        return np.array([[sample[name] for sample in run.samples] for run in runs], dtype=float)

    return Result(
        planner=cell.planner,
        cache=cell.cache,
        block_length=cell.block_length,
        seeds=tuple(run.cell.seed for run in runs),
        scores=table("score"),
        counts={name: table(name) for name in COUNTS},
        seconds=sum(map(sum, (run.seconds for run in runs))) / (len(runs) * cell.problems),
    )


@dataclass(frozen=True)
class Paired:
    """Two results on the same problems.

    Attributes:
        difference: The difference of the mean scores, ours less theirs, with its interval of 95%: of shares by
            `paired_runs`, else by bootstrap.
        only_ours, only_theirs: The numbers of problems that one of them solves alone; None if scores are not 0 or 1, or
            are of several runs.
        p: The two-sided p of McNemar's exact test; None in the same cases.
    """

    difference: Interval
    only_ours: int | None = None
    only_theirs: int | None = None
    p: float | None = None


def paired(ours: Result, theirs: Result) -> Paired:
    """The comparison of two results of one section.

    McNemar's exact test (Biometrika 12, 1947): were both equally good, each problem that only one of them solves would
    be a fair coin's toss.
    """
    apart = ours.score - theirs.score
    if not (ours.solved and theirs.solved):
        (difference,) = ratios(apart[:, None], np.ones_like(apart)[:, None])
        return Paired(difference)
    difference = paired_runs(ours.scores, theirs.scores)
    if not (ours.plain and theirs.plain):
        return Paired(difference)
    wins, losses = int((apart > 0).sum()), int((apart < 0).sum())
    tosses, fewer = wins + losses, min(wins, losses)
    tail = sum(math.comb(tosses, k) for k in range(fewer + 1)) / 2**tosses
    return Paired(difference, wins, losses, min(1.0, 2 * tail))
