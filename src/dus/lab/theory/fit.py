"""How fast dependence falls with distance: fits with bootstrapped intervals, and the bound of the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dus.lab.theory.chains import TheoryError, require_mixing
from dus.lab.theory.entropies import entropy
from dus.lab.theory.sources import Source

RATES = np.exp(-1 / np.geomspace(0.1, 1000, 2000))
"""The rates ρ that an exponential fit chooses from: lengths `-1 / log ρ` from a tenth of a token to a thousand."""

POWERS = np.linspace(0, 8, 2001)
"""The exponents that a power law chooses from."""

RESOLVED = 0.05
"""A misfit below this may be that of choosing from a list."""

BOOTSTRAPS = 500
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Fit:
    """The curve of one family that is nearest to what was measured.

    Attributes:
        family: `exponential`, `C ρ^s`, or `power law`, `C s^-a`.
        constant: C, in nats.
        shape: Ρ, or a.
        low, high: The 95% interval of the shape.
        misfit: Sum over spacings of the squared distance in standard errors.
        p: How often texts for which the family is right would give a misfit this large; small says that it is wrong.
    """

    family: str
    constant: float
    shape: float
    low: float
    high: float
    misfit: float
    p: float

    @property
    def holds(self) -> bool:
        """Whether the family is compatible with what was measured, at the 5% level."""
        return self.p >= SIGNIFICANT

    def at(self, spacings: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve, in nats."""
        return np.asarray(self.constant * _curves(self.family, spacings, np.array([self.shape]))[0])


def fits(spacings: Sequence[int], values: NDArray[np.float64], seed: int = 0) -> tuple[Fit, Fit]:
    """Fit an exponential and a power law to dependence over spacing, by least squares in standard errors.

    Intervals and p come from texts drawn anew from those there are (the bootstrap of Efron, 1979): all spacings are
    measured on the same texts, so their errors are not independent. p is the share of such draws whose residuals
    differ from the residuals found by at least the misfit found.

    Args:
        spacings: S, at least three different ones.
        values: Float64 `[M, number of spacings]`, nats of each text.
        seed: The seed of the bootstrap.

    Raises:
        TheoryError: Fewer than three spacings, or no dependence beyond noise at any of them.
    """
    if len(set(spacings)) < 3:
        raise TheoryError(f"a curve is fitted to at least three different spacings, not to {len(set(spacings))}")
    places, count = np.asarray(spacings, dtype=np.float64), len(values)
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / count**0.5
    if not (mean > 2 * error).any():
        raise TheoryError("there is no dependence beyond noise at any of these spacings, so there is no curve to fit")
    error = np.maximum(error, 1e-3 * mean.max())  # what hardly varies would otherwise count for all the rest
    draws = np.random.default_rng(seed).integers(count, size=(BOOTSTRAPS, count))
    means = np.concatenate([mean[None], values[draws].mean(axis=1)])
    return _fit("exponential", RATES, places, means, error), _fit("power law", POWERS, places, means, error)


def _fit(
    family: str,
    shapes: NDArray[np.float64],
    places: NDArray[np.float64],
    means: NDArray[np.float64],
    error: NDArray[np.float64],
) -> Fit:
    """The fit to the first of the curves `[1 + bootstraps, number of spacings]`; the others say how sure it is."""
    curves = _curves(family, places, shapes) / error
    scaled = means / error
    constants = np.clip(scaled @ curves.T / (curves**2).sum(axis=1), 0, None)
    distances = (scaled**2).sum(axis=1)[:, None] - 2 * constants * (scaled @ curves.T)
    best = (distances + constants**2 * (curves**2).sum(axis=1)).argmin(axis=1)
    rows = np.arange(len(means))
    residuals = scaled - constants[rows, best][:, None] * curves[best]
    misfit = float((residuals[0] ** 2).sum())
    noise = ((residuals[1:] - residuals[0]) ** 2).sum(axis=1)
    low, high = np.quantile(shapes[best[1:]], (0.025, 0.975))
    p = float((noise >= misfit).mean()) if misfit > RESOLVED else 1.0
    return Fit(family, float(constants[0, best[0]]), float(shapes[best[0]]), float(low), float(high), misfit, p)


def _curves(family: str, places: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 `[number of shapes, number of places]`: the curves with C = 1."""
    if family == "exponential":
        return np.asarray(shapes[:, None] ** places)
    return np.asarray(places ** -shapes[:, None])


SMALLEST = 1e-11
"""Nats below which a difference of entropies is rounding."""


@dataclass(frozen=True, eq=False)
class Decay:
    """Dependence over spacing on one source; arrays are `[number of spacings]`, information in nats.

    Attributes:
        spacings: S.
        information: `I(X_i; X_{i+s}, X_{i+2s}, …)`.
        states: `I(S_i; S_{i+s})`, which bounds it from above by data processing.
        rate: Ρ, the chain's mixing rate.
        constant: C, the least with `I <= C ρ^s` at every spacing measured.
    """

    spacings: NDArray[np.int64]
    information: NDArray[np.float64]
    states: NDArray[np.float64]
    rate: float
    constant: float

    @property
    def bound(self) -> NDArray[np.float64]:
        """`C ρ^s` in nats."""
        return np.asarray(self.constant * self.rate**self.spacings, dtype=np.float64)

    @property
    def fitted_rate(self) -> float:
        """The rate r of the fit `I ~ r^s` to the larger half of the spacings; ρ² where the bound's square is met.

        Not a number where fewer than two of these spacings show more than rounding.
        """
        seen = np.flatnonzero(self.information > SMALLEST)
        seen = seen[len(seen) // 2 :]
        if len(seen) < 2:
            return float("nan")
        slope = np.polyfit(self.spacings[seen], np.log(self.information[seen]), 1)[0]
        return float(np.exp(slope))


def decay(source: Source, spacings: Sequence[int], terms: int = 6) -> Decay:
    """Measure `I(X_i; X_{i+s}, …, X_{i+ns})` exactly over s, and the bound `C ρ^s` (arXiv 2506.19037, section 3).

    Args:
        source: The source of the tokens; its chain must mix.
        spacings: The s to look at, each at least 1.
        terms: N; what further terms add falls off as fast as the dependence itself.

    Raises:
        TheoryError: A periodic chain, a spacing below 1, too many outcomes for so many terms.
    """
    rate = require_mixing(source.transition)
    if min(spacings) < 1 or terms < 1:
        raise TheoryError(f"spacings and terms start at 1, not at {min(*spacings, terms)}")
    information = np.array([_information(source, spacing, terms) for spacing in spacings])
    states = np.array([_state_information(source, spacing) for spacing in spacings])
    places = np.asarray(spacings)
    seen = information > SMALLEST
    constant = float((information[seen] / rate ** places[seen]).max()) if seen.any() and rate > 0 else 0.0
    return Decay(places, information, states, rate, constant)


def _information(source: Source, spacing: int, terms: int) -> float:
    """`H(X_0) + H(X_s, …, X_ns) - H(X_0, X_s, …, X_ns)` in nats."""
    comb = range(0, (terms + 1) * spacing, spacing)
    # The stream is stationary: the comb without its first tooth is the comb without its last.
    return max(0.0, entropy(source, [0]) + entropy(source, comb[:-1]) - entropy(source, comb))


def _state_information(source: Source, spacing: int) -> float:
    """`I(S_0; S_s)` in nats."""
    later = np.linalg.matrix_power(source.transition, spacing)
    share = np.where(later > 0, later / source.initial, 1)
    return float((source.initial[:, None] * later * np.log(share)).sum())
