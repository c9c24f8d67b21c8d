"""The masked canvases behind a log-likelihood: which tokens each of them masks, what it weighs, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import comb
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pair: TypeAlias = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Masked:
    """One masked canvas of a pair of context and continuation.

    Attributes:
        pair: The index of the pair.
        canvas: Int64 `[L]`: its tokens, with masks among those of the continuation.
        read: Int64 `[l]`: the masked positions.
        target: Int64 `[l]`: the tokens that were there.
        free: The number of tokens in the continuation.
        weight: The weight of the target's log-probability in the sum that estimates the log-likelihood of the pair.
    """

    pair: int
    canvas: NDArray[np.int64]
    read: NDArray[np.int64]
    target: NDArray[np.int64]
    free: int
    weight: float


@dataclass
class Batch:
    """Canvases for one denoiser call, equal ones computed once: choices that are all mask have theirs in common.

    Attributes:
        members: The canvases.
        rows: For each canvas the row of the call that it is.
        distinct: For each row one of the canvases that it is.
    """

    members: list[Masked] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    distinct: list[Masked] = field(default_factory=list)


def masks_of(length: int, samples: int, seed: list[int]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks over `length` tokens and their weights, such that the weighted sum of log-probabilities is the estimate.

    The numbers of masked tokens lie evenly between 1 and `length`, from a common random start on; LLaDA's evaluation
    spaces them likewise within a batch. Where there are no more than `samples` masks at all, these are all of them.

    Args:
        length: The number L of tokens, at least 1.
        samples: The number n of masks.
        seed: The seeds of the draws, whole numbers from 0.

    Returns:
        Bool `[n, L]`, by ascending numbers of masked tokens where they are drawn, and float64 `[n]`.
    """
    if 2**length - 1 <= samples:
        every = (np.arange(1, 2**length)[:, None] >> np.arange(length)) % 2 == 1
        counts = every.sum(axis=1)
        return every, np.array([1 / (count * comb(length, count)) for count in counts.tolist()])
    draws = np.random.default_rng(seed)
    place = (np.arange(samples) + draws.random()) / samples
    counts = 1 + np.minimum((place * length).astype(np.int64), length - 1)
    rank = draws.random((samples, length)).argsort(axis=1).argsort(axis=1)
    return rank < counts[:, None], length / (counts * samples)


def canvases(pairs: list[Pair], mask_token_id: int, samples: int, seed: int) -> Iterator[Masked]:
    """The masked canvases of all pairs, the shortest pairs first, those of a pair one after the other."""
    for index in sorted(range(len(pairs)), key=lambda at: (len(pairs[at][0]) + len(pairs[at][1]), pairs[at])):
        context, continuation = pairs[index]
        whole = np.array(context + continuation, dtype=np.int64)
        source = [seed % 2**64, len(context), *context, *continuation]
        for mask, weight in zip(*masks_of(len(continuation), samples, source), strict=True):
            read = len(context) + np.flatnonzero(mask)
            canvas = whole.copy()
            canvas[read] = mask_token_id
            yield Masked(index, canvas, read, whole[read], len(continuation), float(weight))


def batches(canvases: Iterable[Masked], size: int) -> Iterator[Batch]:
    """Batches of at most `size` distinct canvases, in their order."""
    batch, row_of = Batch(), dict[bytes, int]()
    for masked in canvases:
        key = masked.canvas.tobytes()
        if key not in row_of and len(row_of) == size:
            yield batch
            batch, row_of = Batch(), {}
        if key not in row_of:
            row_of[key] = len(row_of)
            batch.distinct.append(masked)
        batch.members.append(masked)
        batch.rows.append(row_of[key])
    if batch.members:
        yield batch
