"""Finite Markov chains: which have one stationary law, which mix, and how fast."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST_CHAIN = 4096


class TheoryError(ValueError):
    """A source, schedule or request that the theory cannot answer; the message says why and what would do."""


def stochastic(matrix: ArrayLike, name: str) -> NDArray[np.float64]:
    """The matrix as float64 `[rows, columns]`, each row a distribution.

    Raises:
        TheoryError: Not two-dimensional, a negative or undefined entry, or a row that does not sum to one.
    """
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise TheoryError(f"{name} has the shape {array.shape}, a matrix of distributions in rows is needed")
    if not np.isfinite(array).all() or (array < 0).any():
        raise TheoryError(f"{name} holds an entry that is no probability (negative or undefined)")
    sums = array.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > 1e-6:
        raise TheoryError(f"{name} is not stochastic: row {worst} sums to {sums[worst]:.6g}, not to 1")
    return array / sums[:, None]


def _reached(edges: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """Bool `[S]`: the states that paths from `start` lead to, itself included."""
    found = np.zeros(len(edges), dtype=bool)
    found[start] = True
    frontier = found
    while frontier.any():
        frontier = edges[frontier].any(axis=0) & ~found
        found |= frontier
    return found


def recurrent(transition: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bool `[S]`: the states of the one closed class; the others are left and never met again.

    Raises:
        TheoryError: The chain is reducible: it has several closed classes, so its long run depends on its start.
    """
    edges = transition > 0
    state = 0
    while True:
        ahead = _reached(edges, state)
        behind = _reached(edges.T, state)
        if not (ahead & ~behind).any():
            break
        state = int((ahead & ~behind).argmax())
    if not behind.all():
        raise TheoryError(
            f"the chain is reducible: state {int((~behind).argmax())} never leads to state {state} and its class, "
            "so there is no single stationary distribution"
        )
    return ahead


def period(transition: NDArray[np.float64]) -> int:
    """The greatest common divisor of the lengths of a chain's cycles; 1 is aperiodic. The chain is irreducible."""
    edges = transition > 0
    level = np.full(len(edges), -1)
    frontier, depth, found = np.zeros(len(edges), dtype=bool), 0, 0
    frontier[0] = True
    while frontier.any():
        level[frontier] = depth
        following = edges[frontier].any(axis=0)
        for seen in np.unique(level[following & (level >= 0)]):
            found = gcd(found, depth + 1 - int(seen))
        frontier, depth = following & (level < 0), depth + 1
    return found


def stationary(transition: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution `[S]` with `π T = π`, for a chain with one closed class."""
    size = len(transition)
    if size > LARGEST_CHAIN:
        raise TheoryError(f"a chain of {size} states is too large: up to {LARGEST_CHAIN} are feasible")
    system = transition.T - np.eye(size)
    system[-1] = 1  # the equations sum to zero, so one of them makes room for the total
    law = np.clip(np.linalg.solve(system, np.eye(size)[-1]), 0, None) @ transition
    return law / law.sum()


def mixing_rate(transition: NDArray[np.float64]) -> float:
    """The second largest eigenvalue modulus ρ of a transition matrix `[S, S]`.

    The distance to the stationary distribution falls like `ρ^t`; 1 is a chain that does not mix, 0 one that
    forgets in finitely many steps.
    """
    if len(transition) == 1:
        return 0.0
    moduli = np.sort(np.abs(np.linalg.eigvals(transition)))
    return float(min(moduli[-2], 1.0))


def require_mixing(transition: NDArray[np.float64]) -> float:
    """The mixing rate of an aperiodic chain.

    Raises:
        TheoryError: The chain is periodic: dependence does not fall with distance, and no rate bounds it.
    """
    cycle = period(transition)
    if cycle > 1:
        raise TheoryError(f"the chain is periodic with period {cycle}: dependence does not fall with distance")
    return mixing_rate(transition)
