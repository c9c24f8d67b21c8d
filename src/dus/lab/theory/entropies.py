"""Exact entropies of sets of tokens, in nats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import TheoryError
from dus.lab.theory.sources import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_WORK = 2e9
"""How many numbers (rows of the sum over outcomes, times states) an exact entropy may go through."""

LARGEST_TABLE = 20
"""The longest block all of whose sets are listed, however simple the source."""

EntropyOf = Callable[[int], float]
"""The entropy in nats of a set of positions, given as a bit mask: bit i is position i."""


class _Rows:
    """The outcomes of the tokens seen so far, each with its probability and what it says of the state.

    Attributes:
        weight: Float64 `[R]`, the outcomes' probabilities.
        belief: Float64 `[R, S]`, the distribution of the latest position's state.
        run: How many neighbouring positions up to the latest one are all seen.
    """

    def __init__(self, source: Source, weight: NDArray[np.float64], belief: NDArray[np.float64], run: int) -> None:
        self.source, self.weight, self.belief, self.run = source, weight, belief, run

    @classmethod
    def begin(cls, source: Source) -> _Rows:
        """One outcome, of no tokens; the belief is that of the position before the first."""
        return cls(source, np.ones(1), source.initial[None], 0)

    def skip(self, places: int = 1) -> _Rows:
        """So many positions on, without a look at any."""
        power = self.source.transition if places == 1 else np.linalg.matrix_power(self.source.transition, places)
        return _Rows(self.source, self.weight, self.belief @ power, 0)

    def entropy(self) -> float:
        """The latest position's token's entropy given what is seen, this position not being."""
        law = self.belief @ self.source.emission
        return float(self.weight @ -(law * np.log(np.where(law > 0, law, 1))).sum(axis=1))

    def look(self, run: int) -> _Rows:
        """The outcomes with the latest position's token, which ends a run of so many.

        Where a run is as long as the source's memory, outcomes with the same state are one: what follows depends
        on nothing else.
        """
        source = self.source
        if source.memory is not None and run >= source.memory:
            weight = self.weight @ self.belief
            return _Rows(source, weight, np.eye(source.states), run)
        joint = self.belief[:, None, :] * source.emission.T
        share = joint.sum(axis=2)
        weight = (self.weight[:, None] * share).ravel()
        kept = weight > 0
        belief = joint.reshape(-1, source.states)[kept] / share.ravel()[kept, None]
        return _Rows(source, weight[kept], belief, run)


def entropy(source: Source, positions: Iterable[int]) -> float:
    """The joint entropy of the tokens at some positions of the stationary stream, in nats.

    Outcomes are summed over one by one, those that lead to the same state as one: a first-order chain takes any
    number of positions, a chain of order k grows with the positions since the last k neighbouring ones.

    Raises:
        TheoryError: Too many outcomes.
    """
    places = sorted(set(positions))
    return _chain(source, places, 0)


def _chain(source: Source, places: list[int], free: int) -> float:
    """H of the places less H of the first `free` ones."""
    _require_outcomes(source, places)
    rows, at, total = _Rows.begin(source), None, 0.0
    for number, place in enumerate(places):
        run = rows.run + 1 if at is not None and place == at + 1 else 1
        rows = rows if at is None else rows.skip(place - at)
        if number >= free:
            total += rows.entropy()
        if number < len(places) - 1:
            rows = rows.look(run)
        at = place
    return total


def entropy_of(source: Source, context: int = 0) -> EntropyOf:
    """Entropies of sets of block positions given `context` tokens before the block, each computed once.

    Args:
        source: The source of the tokens.
        context: How many tokens before the block are known; the entropy is averaged over them.
    """
    known: dict[int, float] = {}

    def of(mask: int) -> float:
        if mask not in known:
            places = [context + place for place in range(mask.bit_length()) if mask >> place & 1]
            known[mask] = _chain(source, [*range(context), *places], context)
        return known[mask]

    return of


def all_entropies(source: Source, length: int, context: int = 0) -> NDArray[np.float64]:
    """Float64 `[2^B]`: the entropy of every set of a block's positions, in nats; bit i of the index is position i.

    Args:
        source: The source of the tokens.
        length: B.
        context: How many tokens before the block are known; entropies are given those, and averaged over them.

    Raises:
        TheoryError: Too many outcomes; the message says which block length is feasible.
    """
    _require_table(source, length, context)
    table = np.zeros(1 << length)
    start = _Rows.begin(source)
    for place in range(context):
        start = (start.skip() if place else start).look(place + 1)

    def grow(mask: int, last: int, rows: _Rows) -> None:
        run = rows.run
        for place in range(last + 1, length):
            rows = rows.skip()
            wider = mask | 1 << place
            table[wider] = table[mask] + rows.entropy()
            if place < length - 1:
                grow(wider, place, rows.look(run + 1 if place == last + 1 else 1))

    if context:
        grow(0, -1, start)
        return table
    # The stream is stationary: a set's entropy is that of the set moved to the block's beginning.
    table[1] = start.entropy()
    if length > 1:
        grow(1, 0, start.look(1))
    masks = np.arange(1, 1 << length)
    table[1:] = table[masks // (masks & -masks)]
    return table


def _work(source: Source, length: int, context: int) -> float:
    """How many numbers the entropies of all sets of a block go through: outcomes of every set, times states.

    Walks over the positions with the number of sets, and of their outcomes, by the run of seen positions they end in.
    """
    longest = source.memory or context + length
    sets, rows = np.zeros(longest + 1), np.zeros(longest + 1)
    sets[0] = rows[0] = 1
    total = 0.0
    for place in range(context + length - 1):
        skipped = place >= max(context, 1)  # the context is all seen, and so is the first position: see there
        full = sets[longest - 1] + sets[longest]
        unseen = (sets.sum() * skipped, rows.sum() * skipped)
        sets[1:], rows[1:] = sets[:-1].copy(), rows[:-1] * source.vocab
        sets[longest], rows[longest] = (full, full * source.states) if source.memory else (sets[-1], rows[-1])
        sets[0], rows[0] = unseen
        total += rows.sum() * source.states
    return total


def _require_table(source: Source, length: int, context: int) -> None:
    """Refuse a block whose sets have too many outcomes."""
    feasible = [size for size in range(1, LARGEST_TABLE + 1) if _work(source, size, context) <= LARGEST_WORK]
    if length not in feasible:
        raise TheoryError(
            f"the exact entropies of all sets of {length} positions of {source.name} ({source.states} states, "
            f"{source.vocab} tokens) are too many; blocks up to {max(feasible, default=0)} positions are feasible"
        )


def _require_outcomes(source: Source, places: list[int]) -> None:
    """Refuse a set with too many outcomes."""
    rows, run, at = 1, 0, -2
    for number, place in enumerate(places[:-1]):
        run, at = run + 1 if place == at + 1 else 1, place
        rows = source.states if source.memory is not None and run >= source.memory else rows * source.vocab
        if rows * source.states > LARGEST_WORK / 100:
            raise TheoryError(
                f"the exact entropy of {len(places)} positions of {source.name} sums over too many outcomes: {number} "
                "positions this far apart are feasible; a sampled divergence has no such limit"
            )
