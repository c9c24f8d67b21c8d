"""Whether measured dependence falls exponentially with distance, and how fast: fits with bootstrapped intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dus.lab.theory.chains import TheoryError

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
        shape: ρ, or a.
        low, high: the 95% interval of the shape.
        misfit: sum over spacings of the squared distance in standard errors.
        p: how often texts for which the family is right would give a misfit this large; small says that it is wrong.
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
        spacings: s, at least three different ones.
        values: float64 `[M, number of spacings]`, nats of each text.
        seed: of the bootstrap.

    Raises:
        TheoryError: fewer than three spacings, or no dependence beyond noise at any of them.
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
