"""What a fixed schedule loses: the conditional total correlation of the positions it unmasks together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dus.decoding.planning import settle
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.entropies import EntropyOf
from dus.planners import BlockState, Planner, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

Schedule = Sequence[Sequence[int]]
"""Groups of block positions, counted from 0, in the order in which they are unmasked."""


@dataclass(frozen=True)
class StepGap:
    """One step of a schedule on a source, in nats.

    Attributes:
        positions: What the step unmasks.
        marginals: The sum of the tokens' entropies given what is revealed, `Σ_i H(X_i | X_U)`.
        joint: Their joint entropy given the same, `H(X_G | X_U)`.
    """

    positions: tuple[int, ...]
    marginals: float
    joint: float

    @property
    def gap(self) -> float:
        """The conditional total correlation, `Σ_i H(X_i | X_U) - H(X_G | X_U)`."""
        return self.marginals - self.joint


def mask_of(positions: Iterable[int]) -> int:
    """A set of positions as a bit mask: bit i is position i."""
    return sum(1 << place for place in positions)


def check(schedule: Schedule) -> int:
    """The block length of a schedule.

    Raises:
        TheoryError: An empty group, or groups that do not hold each of 0, 1, …, B - 1 once.
    """
    places = sorted(place for group in schedule for place in group)
    if not places or places != list(range(len(places))) or not all(schedule):
        raise TheoryError("a schedule is a list of groups, none empty, that hold each position 0, 1, … once")
    return len(places)


def step_gaps(schedule: Schedule, entropy: EntropyOf) -> list[StepGap]:
    """What each step of a schedule loses.

    Args:
        schedule: Groups of positions.
        entropy: Nats of a set of positions: `entropy_of(source)`, or the `item` method of `all_entropies`.

    Raises:
        TheoryError: A schedule that is no partition.
    """
    check(schedule)
    gaps, revealed = [], 0
    for group in schedule:
        known = entropy(revealed)
        marginals = sum(entropy(revealed | 1 << place) - known for place in group)
        gaps.append(StepGap(tuple(group), marginals, entropy(revealed | mask_of(group)) - known))
        revealed |= mask_of(group)
    return gaps


def divergence(schedule: Schedule, entropy: EntropyOf) -> float:
    """KL(truth ‖ sampled) in nats, of tokens drawn at temperature 1 from the exact marginals of each step.

        KL = Σ_t [ Σ_{i in I_t} H(X_i | X_{U_t}) - H(X_{I_t} | X_{U_t}) ]

    Exact for a schedule that does not look at the tokens, as the sampled law is a product over steps and positions
    of true conditionals (Lavenant, Zanella, arXiv 2510.25544; Chen, Cong, Li, arXiv 2511.04647, who average it over
    random schedules).

    Args:
        schedule: Groups of positions.
        entropy: The same as for `step_gaps`.
    """
    return sum(step.gap for step in step_gaps(schedule, entropy))


def conditionals(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 `[2^B, B]`: `H(X_i | X_U)` in nats for each set U and position i, zero where i is in U.

    Args:
        table: `[2^B]`, of `all_entropies`.
    """
    masks = np.arange(len(table))
    bits = 1 << np.arange(len(table).bit_length() - 1)
    return table[masks[:, None] | bits] - table[:, None]


def schedule_of(planner: str | Planner, length: int, row: int = 0) -> list[list[int]]:
    """The groups that a planner unmasks in a wholly masked block, without a look at any token.

    Args:
        planner: One that knows its positions beforehand, or its text.
        length: B.
        row: The row index that random planners draw from.

    Raises:
        TheoryError: A planner that looks at predictions; see `planner_divergence`.
    """
    rule = parse(planner) if isinstance(planner, str) else planner
    if not rule.scheduled:
        raise TheoryError(f"{rule} looks at predictions, so it has no fixed schedule: planner_divergence takes it")
    block = BlockState.begin(torch.ones(1, length, dtype=torch.bool), row=torch.tensor([row]))
    groups: list[list[int]] = []
    while bool(block.masked.any()):
        block, due = settle(rule, block)
        group = due.wanted & due.masked
        groups.append(group[0].nonzero()[:, 0].tolist())
        block = block.after(group)
    return groups


def contiguous(length: int, sizes: Sequence[int]) -> list[list[int]]:
    """Neighbouring positions, left to right, in groups of the given sizes."""
    ends = np.cumsum(sizes)
    if ends[-1] != length:
        raise TheoryError(f"groups of {list(sizes)} do not make up a block of {length}")
    return [list(range(end - size, end)) for size, end in zip(sizes, ends.tolist(), strict=True)]


def equal_sizes(length: int, steps: int) -> list[int]:
    """Sizes of so many groups, equal up to one, the larger ones first."""
    if not 1 <= steps <= length:
        raise TheoryError(f"a block of {length} takes 1 to {length} steps, not {steps}")
    return [length // steps + (step < length % steps) for step in range(steps)]
