"""How much some known tokens of a block tell of the others, and the schedules that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch

from dus.lab.theory.best import local_search, search
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.schedules import contiguous, equal_sizes, mask_of, schedule_of
from dus.lab.theory.texts import Blocks, entropies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dus.lab.theory.entropies import EntropyOf
    from dus.lab.theory.schedules import Schedule

Entropies = Callable[[Iterable[int]], "NDArray[np.float64]"]
"""Of a set A of a block's offsets: float64 `[B]`, `H(X_i | c, X_A)` in nats, zero at those in A; c stands before it."""

LONGEST_SEARCHED = 16
"""The longest block that all schedules are searched of; beyond that local search goes on from several of them."""

BOUND_ROUNDS, MEASURED_ROUNDS = 3000, 200
"""Moves that a local search tries: on bounds, which cost nothing, and on sets that have to be measured."""

WARMTH = 1e-3


@dataclass(frozen=True, eq=False)
class Known:
    """Entropies in a block given what stands before it (c) and some sets of its own tokens.

    They bound those given any other set, as what is known besides can only take entropy away:

        H(X_i | c, X_U)  <=  min over measured A ⊆ U of  H(X_i | c, X_A)

    With all sets of at most two tokens measured, this is exact on a first-order chain, where the nearest known token on
    either side tells all. On denoisers whose conditionals do not fit together it is an approximation.

    Attributes:
        sets: S sets of offsets, the empty one first.
        entropy: Float64 `[S, B]`, `H(X_i | c, X_A)` in nats, zero where i is in A.
    """

    sets: list[frozenset[int]]
    entropy: NDArray[np.float64]

    @classmethod
    def of(cls, measure: Entropies, sets: Iterable[Iterable[int]]) -> Known:
        """The entropies given these sets, and given none."""
        kept = list(dict.fromkeys([frozenset[int](), *map(frozenset[int], sets)]))
        return cls(kept, np.array([measure(sorted(each)) for each in kept]))

    def beginning(self, length: int) -> Known:
        """The same of a shorter block: what stands behind it is masked, as it is here."""
        kept = [row for row, members in enumerate(self.sets) if all(place < length for place in members)]
        return Known([self.sets[row] for row in kept], self.entropy[kept, :length])

    @property
    def length(self) -> int:
        """B."""
        return self.entropy.shape[1]

    def conditional(self, revealed: int) -> NDArray[np.float64]:
        """Float64 `[B]`: the bound on `H(X_i | c, X_U)` in nats for a set U as a bit mask, zero where i is in U."""
        known = np.array([bool(revealed >> place & 1) for place in range(self.length)])
        bound = self.entropy[~(self._members & ~known).any(axis=1)].min(axis=0)
        return np.where(known, 0, bound)

    def table(self) -> NDArray[np.float64]:
        """Float64 `[2^B, B]`: `conditional` of every set."""
        masks = np.arange(1 << self.length)
        bound = np.tile(self.entropy[0], (len(masks), 1))
        for members, entropy in zip(self.sets[1:], self.entropy[1:], strict=True):
            mask = mask_of(members)
            rows = np.flatnonzero(masks & mask == mask)
            bound[rows] = np.minimum(bound[rows], entropy)
        return np.where(masks[:, None] >> np.arange(self.length) & 1, 0, bound)

    @cached_property
    def _members(self) -> NDArray[np.bool_]:
        """Bool `[S, B]`: which offsets are in each set."""
        found = np.zeros(self.entropy.shape, dtype=bool)
        for row, members in enumerate(self.sets):
            found[row, sorted(members)] = True
        return found


def of_blocks(blocks: Blocks) -> Entropies:
    """Entropies read off a denoiser: the texts' own tokens are revealed at a set, in one call for all texts.

    The entropies of the predictions are averaged over the texts. The same texts stand behind every set, so that
    differences between sets are sharper than their values.
    """
    offsets = torch.arange(blocks.length, device=blocks.truth.device)

    def measure(places: Iterable[int]) -> NDArray[np.float64]:
        kept = list(places)
        found = entropies(blocks.log_probabilities(blocks.revealing(kept), offsets)).cpu().double().mean(dim=0)
        found[kept] = 0
        return found.cpu().numpy()

    return measure


def of_exact(of: EntropyOf, length: int) -> Entropies:
    """Exact entropies: of a source, by `entropy_of`, or the `item` method of `all_entropies`."""

    def measure(places: Iterable[int]) -> NDArray[np.float64]:
        known = mask_of(places)
        return np.array([of(known | 1 << place) - of(known) for place in range(length)])

    return measure


def pairs(measure: Entropies, length: int) -> Known:
    """What at most two tokens tell of the others: `1 + B + B (B - 1) / 2` sets."""
    places = range(length)
    return Known.of(measure, [*((place,) for place in places), *combinations(places, 2)])


def planned(known: Known, measure: Entropies, steps: int) -> list[list[int]]:
    """A schedule of at most so many steps that costs little: the least `Σ_t Σ_{i in I_t} H(X_i | c, X_{U_t})` found.

    Of the schedule with the least bound, groups of neighbours, and DUS where it takes as many steps, the cheapest is
    where a local search begins, which measures each set that it comes to. The first is found by going through all
    schedules of a block of up to 16 positions, by local search in longer ones.

    Raises:
        TheoryError: No number of steps for such a block.
    """
    length = known.length
    if not 1 <= steps <= length:
        raise TheoryError(f"a block of {length} takes 1 to {length} steps, not {steps}")
    plain = contiguous(length, equal_sizes(length, steps))
    dus = schedule_of("dus", length)
    starts = [_cheapest(known, steps), plain, *([dus] if len(dus) == steps else [])]

    @cache
    def conditional(revealed: int) -> NDArray[np.float64]:
        return measure([place for place in range(length) if revealed >> place & 1])

    start = min(starts, key=lambda groups: cost(conditional, groups))
    return local_search(conditional, start, MEASURED_ROUNDS, warmth=WARMTH)


def cost(conditional: Callable[[int], NDArray[np.float64]], schedule: Schedule) -> float:
    """`Σ_t Σ_{i in I_t} H(X_i | c, X_{U_t})` of a schedule, in nats a block, or a bound on it.

    Args:
        conditional: A function of a set U as a bit mask that returns float64 `[B]`.
        schedule: Groups of offsets.
    """
    revealed, total = 0, 0.0
    for group in schedule:
        total += float(conditional(revealed)[list(group)].sum())
        revealed |= mask_of(group)
    return total


def _cheapest(known: Known, steps: int) -> list[list[int]]:
    """The schedule with the least bound, as far as it can be found."""
    length = known.length
    if length <= LONGEST_SEARCHED:
        return search(known.table(), 0.0, steps).schedule(steps)
    starts = (
        [list(range(first, length, steps)) for first in range(steps)],
        contiguous(length, equal_sizes(length, steps)),
    )
    ends = [local_search(known.conditional, start, BOUND_ROUNDS, warmth=WARMTH) for start in starts]
    return min(ends, key=lambda groups: cost(known.conditional, groups))
