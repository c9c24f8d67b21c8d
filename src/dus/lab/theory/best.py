"""The schedule with the least divergence: exactly by dynamic programming, beyond that by local search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import TheoryError
from dus.lab.theory.schedules import Schedule, check, conditionals

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_BLOCK = 18
"""Dynamic programming goes through 3^B pairs of sets: 43 million at 16 positions (seconds), 387 million at 18."""


@dataclass(frozen=True, eq=False)
class BestSchedules:
    """The best schedules of a block for every number of steps up to some limit.

    Attributes:
        cost: Float64 `[2^B, T + 1]`, the least `Σ H(X_i | X_U)` in nats of revealing a set in at most t steps.
        conditional: Float64 `[2^B, B]`, `H(X_i | X_U)`.
        joint: The joint entropy of the block in nats.
    """

    cost: NDArray[np.float64]
    conditional: NDArray[np.float64]
    joint: float

    @property
    def steps(self) -> int:
        """T, the largest number of steps that was searched."""
        return self.cost.shape[1] - 1

    def divergence(self, steps: int) -> float:
        """The least divergence in nats of any schedule of at most so many steps."""
        self._require(steps)
        return float(self.cost[-1, steps]) - self.joint

    def schedule(self, steps: int) -> list[list[int]]:
        """A schedule of at most so many steps that attains it."""
        self._require(steps)
        length = self.conditional.shape[1]
        sets = np.arange(len(self.cost))
        groups: list[list[int]] = []
        revealed = len(self.cost) - 1
        for step in range(steps, 0, -1):
            group = (revealed & ~sets)[:, None] >> np.arange(length) & 1
            through = self.cost[:, step - 1] + (self.conditional * group).sum(axis=1)
            before = int(np.where(sets & ~revealed, np.inf, through).argmin())
            groups.append([place for place in range(length) if (revealed & ~before) >> place & 1])
            revealed = before
        return [group for group in reversed(groups) if group]

    def _require(self, steps: int) -> None:
        if not 1 <= steps <= self.steps:
            raise TheoryError(f"schedules of 1 to {self.steps} steps were searched, not of {steps}")


def best_schedules(table: NDArray[np.float64], steps: int, sizes: Sequence[int] | None = None) -> BestSchedules:
    """Search all schedules of a block by dynamic programming over the sets that are revealed.

        D_0(∅) = 0,   D_{t+1}(W) = min over U ⊆ W of  D_t(U) + Σ_{i in W - U} H(X_i | X_U)

    The joint entropies of the groups add up to that of the block, so D less that is the divergence. 3^B pairs.

    Args:
        table: `[2^B]`, of `all_entropies`.
        steps: The largest number of steps.
        sizes: The group sizes that are allowed, one for each step; None allows any.

    Raises:
        TheoryError: A block too long; sizes that do not fit.
    """
    return search(conditionals(table), float(table[-1]), steps, sizes)


def search(
    conditional: NDArray[np.float64], joint: float, steps: int, sizes: Sequence[int] | None = None
) -> BestSchedules:
    """The search of `best_schedules`, for conditional entropies that come from anywhere.

    Args:
        conditional: Float64 `[2^B, B]`, `H(X_i | X_U)` in nats for each set U and position i, zero where i is in U.
        joint: The joint entropy of the block.
        steps, sizes: The same as for `best_schedules`.

    Raises:
        TheoryError: A block too long; sizes that do not fit.
    """
    length = conditional.shape[1]
    if length > LARGEST_BLOCK:
        raise TheoryError(
            f"the best schedule of {length} positions means 3^{length} pairs of sets: up to {LARGEST_BLOCK} positions "
            "are feasible; local_search goes further"
        )
    if sizes is not None and (sum(sizes) != length or len(sizes) != steps or min(sizes) < 1):
        raise TheoryError(f"{steps} groups of sizes {list(sizes)} do not make up a block of {length}")
    if steps < 1:
        raise TheoryError(f"steps is {steps}, at least 1 is needed")
    cost = np.full((len(conditional), steps + 1), np.inf)
    cost[0, 0] = 0
    allowed = np.ones((len(cost), steps), dtype=bool) if sizes is None else _allowed(length, sizes)
    for step in range(steps):
        cost[:, step + 1] = np.where(allowed[:, step], _after(cost[:, step], conditional), np.inf)
    return BestSchedules(cost, conditional, joint)


def _after(cost: NDArray[np.float64], conditional: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 `[2^B]`: the least cost of revealing each set in one step more.

    The positions are split in halves: for each set of the upper half all its supersets, and all pairs of sets of
    the lower half, are one array operation.
    """
    length = conditional.shape[1]
    low = length // 2
    under, over = _pairs(low)
    added = (over ^ under)[:, None] >> np.arange(low) & 1
    first_of = np.searchsorted(over, np.arange(1 << low))
    cost = cost.reshape(-1, 1 << low)
    least = np.full_like(cost, np.inf)
    for upper, start in enumerate(cost):
        if not np.isfinite(start).any():
            continue
        given = conditional[upper << low : (upper + 1) << low]
        sets, price = np.array([upper]), start[None]
        for place in range(length - low):
            if not upper >> place & 1:
                sets = np.concatenate([sets, sets | 1 << place])
                price = np.concatenate([price, price + given[:, low + place]])
        through = price[:, under] + (given[under, :low] * added).sum(axis=1)
        least[sets] = np.minimum(least[sets], np.minimum.reduceat(through, first_of, axis=1))
    return least.ravel()


def _pairs(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Int64 `[3^length]` twice: all pairs of a set and a superset, sorted by the superset."""
    under = over = np.zeros(1, dtype=np.int64)
    for place in range(length):
        bit = 1 << place
        under = np.concatenate([under, under, under | bit])
        over = np.concatenate([over, over | bit, over | bit])
    order = np.argsort(over, kind="stable")
    return under[order], over[order]


def _allowed(length: int, sizes: Sequence[int]) -> NDArray[np.bool_]:
    """Bool `[2^B, T]`: whether a set has as many positions as are revealed after step 1, 2, …"""
    size = (np.arange(1 << length)[:, None] >> np.arange(length) & 1).sum(axis=1)
    return size[:, None] == np.cumsum(sizes)


def local_search(
    conditional: Callable[[int], NDArray[np.float64]],
    start: Schedule,
    rounds: int = 4000,
    warmth: float = 0.01,
    seed: int = 0,
) -> list[list[int]]:
    """A good schedule of at most as many steps as the one it starts from, by simulated annealing.

    A round moves one position to another step, or lets two of different steps change places. What is worse by d
    is kept with probability `exp(-d / T)`; T falls from its first value to a thousandth of that.

    Args:
        conditional: Of a set U as a bit mask, float64 `[B]` that holds `H(X_i | X_U)` at every i not in U, exact or
            estimated; answers are kept, so each set is asked for once.
        start: The schedule to begin with.
        rounds: Moves tried.
        warmth: The first T, in nats a position; low values stay near the start.
        seed: The seed of the moves.

    Raises:
        TheoryError: A start that is no partition.
    """
    length, steps = check(start), len(start)
    cost = _Cost(conditional, steps)
    current = np.empty(length, dtype=np.int64)
    for step, group in enumerate(start):
        current[list(group)] = step
    best, value, rng = current, cost(current), np.random.default_rng(seed)
    least = value
    for heat in warmth * length * np.logspace(0, -3, rounds):
        trial = _moved(current, steps, rng)
        attempt = cost(trial)
        if attempt <= value or rng.random() < np.exp((value - attempt) / heat):
            current, value = trial, attempt
        if value < least:
            best, least = current, value
    groups = [np.flatnonzero(best == step).tolist() for step in range(steps)]
    return [group for group in groups if group]


def _moved(step_of: NDArray[np.int64], steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Another schedule, one move away; int64 `[B]`, the step of each position."""
    one, other = rng.integers(len(step_of), size=2)
    trial = step_of.copy()
    if step_of[one] == step_of[other] or rng.random() < 0.5:
        trial[one] = rng.integers(steps)
    else:
        trial[one], trial[other] = step_of[other], step_of[one]
    return trial


class _Cost:
    """`Σ_t Σ_{i in I_t} H(X_i | X_{U_t})` of a schedule, in nats."""

    def __init__(self, conditional: Callable[[int], NDArray[np.float64]], steps: int) -> None:
        self.conditional, self.steps = conditional, steps
        self.known: dict[int, NDArray[np.float64]] = {}

    def __call__(self, step_of: NDArray[np.int64]) -> float:
        revealed, total = 0, 0.0
        for step in range(self.steps):
            group = np.flatnonzero(step_of == step)
            if len(group):
                if revealed not in self.known:
                    self.known[revealed] = self.conditional(revealed)
                total += float(self.known[revealed][group].sum())
                revealed += sum(1 << place for place in group.tolist())
        return total
