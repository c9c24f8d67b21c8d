"""How fast dependence falls with spacing, next to the bound that the method rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import TheoryError, require_mixing
from dus.lab.theory.entropies import entropy
from dus.lab.theory.sources import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMALLEST = 1e-11
"""Nats below which a difference of entropies is rounding."""


@dataclass(frozen=True, eq=False)
class Decay:
    """Dependence over spacing on one source; arrays are `[number of spacings]`, information in nats.

    Attributes:
        spacings: s.
        information: `I(X_i; X_{i+s}, X_{i+2s}, …)`.
        states: `I(S_i; S_{i+s})`, which bounds it from above by data processing.
        rate: ρ, the chain's mixing rate.
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
        source: of the tokens; its chain must mix.
        spacings: the s to look at, each at least 1.
        terms: n; what further terms add falls off as fast as the dependence itself.

    Raises:
        TheoryError: a periodic chain, a spacing below 1, too many outcomes for so many terms.
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
