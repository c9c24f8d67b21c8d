"""Intervals: what the number of rows, or of cases, allows to be said; among them of how many problems were solved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_CELLS = 1 << 22  # of a table of draws held at once


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95% interval; all nan where nothing was counted."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 2, *, percent: bool = False) -> str:
        """Such as `6.22 (6.20 to 6.25)` or `50% (45% to 55%)`; without bounds where a single row has none."""
        if math.isnan(self.value):
            return "–"
        value, low, high = (f"{x:.{digits}{'%' if percent else 'f'}}" for x in (self.value, self.low, self.high))
        return value if math.isnan(self.low) else f"{value} ({low} to {high})"


def ratios(above: NDArray, below: NDArray, *, draws: int = DRAWS, seed: int = 0) -> list[Interval]:
    """For each of K measures the ratio of two sums over rows, with its percentile bootstrap interval.

        Σ_n above_nk / Σ_n below_nk,   with the rows drawn N times with replacement, `draws` times

    The rows (problems) are what is drawn, because the positions of one row depend on each other.

    Args:
        above: Float `[N, K]`: the numerators of K measures on N rows.
        below: Float `[N, K]`, not negative: the denominators. If those of a measure are all zero, its interval is nan.
            Draws that happen to hold only zeros are left out.
        draws: The number of bootstrap draws.
        seed: The seed of the draws; the same numbers give the same interval.
    """
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    count = len(above)
    values = _divided(above.sum(axis=0), below.sum(axis=0))
    if count < 2:
        return [Interval(float(value), math.nan, math.nan) for value in values]
    rng = np.random.default_rng(seed)
    drawn = []
    for some in np.array_split(np.arange(draws), -(-draws * count // _CELLS)):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=len(some))
        drawn.append(_divided(weights @ above, weights @ below))
    low, high = np.full((2, len(values)), np.nan)
    whole = np.concatenate(drawn)
    for k in np.flatnonzero(~np.isnan(values)):
        low[k], high[k] = np.nanpercentile(whole[:, k], [2.5, 97.5])
    return [Interval(*(float(x) for x in triple)) for triple in zip(values, low, high, strict=True)]


def wilson(cases: float, total: float, z: float = 1.96) -> Interval:
    """The share `cases` / `total` with Wilson's score interval, which holds near 0 and 1 too; `z` = 1.96 gives 95%.

    Both may be fractions, for an effective number of cases.
    """
    if total == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = cases / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def share(solved: NDArray) -> Interval:
    """The share of problems solved, with a 95% interval: Wilson's, of as many cases as the runs of them are worth.

        n = p (1 - p) / Var(mean over problems),   between N and S N

    Runs of a problem with different seeds are not independent: those that agree everywhere are worth no more than one,
    and then n = N (Kish's effective sample size, in Wilson's interval as in Franco et al., JSSAM 7, 2019).

    Args:
        solved: Numbers `[S, N]`, 0 or 1: whether each of S runs solved each of N problems.
    """
    runs, count = solved.shape
    each = solved.mean(axis=0)
    cases = count * _worth(float(each.mean() * (1 - each.mean())), float(each.var()), runs)
    return wilson(float(each.mean()) * cases, cases)


def paired_runs(first: NDArray, second: NDArray) -> Interval:
    """The difference of two shares of the same problems, first less second, with a 95% interval: of `paired_shares`.

    The four counts are those of pairs of runs, scaled to as many problems as the runs are worth, as in `share`.

    Args:
        first, second: Numbers `[S, N]` and `[T, N]`, 0 or 1: whether each run solved each of N problems.
    """
    ours, theirs = first.mean(axis=0), second.mean(axis=0)
    both, only_first, only_second = (ours * theirs).sum(), (ours * (1 - theirs)).sum(), ((1 - ours) * theirs).sum()
    count = len(ours)
    alone = (only_first + only_second) / count - ((only_first - only_second) / count) ** 2
    worth = _worth(float(alone), float((ours - theirs).var()), min(len(first), len(second)))
    return paired_shares(*(float(part) * worth for part in (both, only_first, only_second, count)))


def _worth(of_one: float, of_mean: float, runs: int) -> float:
    """How many runs the mean of some is worth, 1 to `runs`, from the variances over problems of one and of the mean."""
    if of_mean <= 0:
        return float(runs) if of_one > 0 else 1.0
    return round(min(max(of_one / of_mean, 1.0), float(runs)), 9)  # that of runs which agree is 1, not almost


def paired_shares(both: float, only_first: float, only_second: float, total: float) -> Interval:
    """The difference of two shares of the same cases, first less second, with a 95% interval.

    Newcombe's hybrid score interval for paired proportions (Statistics in Medicine 17, 1998, 2635-2650, method 10):
    Wilson's intervals of both shares, joined by their correlation. Unlike a bootstrap it has a width where the two
    agree in every case that there is.

    Args:
        both, only_first, only_second: The numbers of cases that both have right, or one of them alone.
        total: The number of all cases. All of these may be fractions, of an effective number of cases.
    """
    neither = max(0.0, total - both - only_first - only_second)
    first, second = wilson(both + only_first, total), wilson(both + only_second, total)
    product = both * neither - only_first * only_second
    margins = math.prod((both + only_first, both + only_second, neither + only_first, neither + only_second))
    covered = max(product - total / 2, 0.0) if product > 0 else product
    correlation = covered / math.sqrt(margins) if margins > 0 else 0.0

    def joined(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))

    apart = first.value - second.value
    low = apart - joined(first.value - first.low, second.high - second.value)
    return Interval(apart, low, apart + joined(first.high - first.value, second.value - second.low))


def _divided(above: NDArray, below: NDArray) -> NDArray:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


TOKEN_BY_TOKEN = "confidence(per_step=1)"


@dataclass(frozen=True)
class Accuracy:
    """`right` of `total` problems solved."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The share of problems solved, 0 to 1."""
        return self.right / self.total

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's score interval of the share; `z` = 1.96 gives 95%."""
        found = wilson(self.right, self.total, z)
        return found.low, found.high

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.share:.1%} ({low:.1%} to {high:.1%}; {self.right} of {self.total})"
