"""How far apart the positions are that a step unmasks together.

The paper (arXiv 2506.19037, section 4) gives each planner an average pairwise distance and does not say what it is
averaged over. DUS's own levels tell. A block of 16 is unmasked as {0, 8}, {4, 12}, {2, 6, 10, 14}, {1, 3, …, 15}, and

    mean over all pairs                        B = 8: 3.50   16: 6.22   32: 11.59   64: 22.28
    mean over steps of the step's own mean     B = 8: 3.78   16: 7.17   32: 13.73   64: 26.56

The paper reports 6.2 for 16 (both data sets) and 11.6 for 32 (HumanEval): all pairs count alike, and so they do here.
Its 9.6 for 32 on MATH500 is below both, so that run's levels were not whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


class AnalysisError(ValueError):
    """Something that can't be analysed; the message says what would be right."""


@dataclass(frozen=True)
class Spacing:
    """Counts for `N` rows, from which every share and mean follows; each int64 `[N]`.

    Means over several rows are ratios of sums, so that a pair counts the same whichever row it is in.

    Attributes:
        distance: The sum of |i - j| over the pairs of the row.
        pairs: The number of unordered pairs of positions that one step unmasked together.
        isolated: The number of positions none of whose neighbours was unmasked at the same step.
        unmasked: The number of positions that any step unmasked.
        steps: The number of steps that the row took.
    """

    distance: NDArray[np.int64]
    pairs: NDArray[np.int64]
    isolated: NDArray[np.int64]
    unmasked: NDArray[np.int64]
    steps: NDArray[np.int64]


def padded(rows: Iterable[ArrayLike], blank: float = -1) -> NDArray:
    """Rows of different lengths, such as `trace.step`, as one array `[N, G]`; `blank` stands behind the short ones."""
    arrays = [np.asarray(row) for row in rows]
    kinds = [row.dtype for row in arrays if len(row)]  # an empty list would make floats of whole numbers
    kind = np.result_type(*kinds) if kinds else np.asarray(blank).dtype
    whole = np.full((len(arrays), max(map(len, arrays), default=0)), blank, dtype=kind)
    for target, row in zip(whole, arrays, strict=True):
        target[: len(row)] = row
    return whole


def spacing(step: ArrayLike, block_length: int) -> Spacing:
    """The counts below `pairwise_distance` and `isolated_share`.

    Args:
        step: Int `[N, G]`, or `[G]` for a single row: the step that unmasked each position, as in `Trace.step`,
            negative if none did. Steps count through a whole row, from 0.
        block_length: The length of the blocks, the first of which begins at position 0.

    Raises:
        AnalysisError: `step` is no such array, or `block_length` is below 1.
    """
    steps = _checked(step, block_length)
    count = len(steps)
    row, position = np.nonzero(steps >= 0)
    block, when = position // block_length, steps[row, position]
    order = np.lexsort((position, when, block, row))
    row, position, block, when = row[order], position[order], block[order], when[order]

    same = (np.diff(row) == 0) & (np.diff(block) == 0) & (np.diff(when) == 0)
    first = np.flatnonzero(np.r_[True, ~same]) if len(row) else np.zeros(0, dtype=np.int64)
    size = np.diff(np.r_[first, len(row)])
    place = np.arange(len(row)) - np.repeat(first, size)
    # The k-th of n rising positions is the larger one in k pairs and the smaller one in n - 1 - k.
    share = position * (2 * place + 1 - np.repeat(size, size))
    touching = same & (np.diff(position) == 1)
    isolated = ~np.r_[False, touching] & ~np.r_[touching, False] if len(row) else np.zeros(0, dtype=bool)
    return Spacing(
        distance=_per_row(row, share, count),
        pairs=_per_row(row[first], size * (size - 1) // 2, count),
        isolated=_per_row(row, isolated, count),
        unmasked=_per_row(row, np.ones_like(row), count),
        steps=steps.max(axis=1, initial=-1) + 1,
    )


def pairwise_distance(step: ArrayLike, block_length: int) -> NDArray[np.float64]:
    """Float `[N]`: the mean distance of positions that were unmasked together, over all such pairs of a row.

        D = Σ_t Σ_{i<j in I_t} |i - j|  /  Σ_t |I_t| (|I_t| - 1) / 2

    with I_t the positions of one block unmasked at step t; nan where no step unmasked two. Of several rows together
    it is the ratio of the sums in `spacing`, not the mean of these. Arguments and errors are those of `spacing`.
    """
    found = spacing(step, block_length)
    return _ratio(found.distance, found.pairs)


def isolated_share(step: ArrayLike, block_length: int) -> NDArray[np.float64]:
    """Float `[N]`: the share of unmasked positions i with neither i - 1 nor i + 1 unmasked at the same step.

    A step's only position is isolated too: it was written blind to no neighbour. So token by token gives 1, as DUS
    does in blocks of a power of two. nan where nothing was unmasked. Arguments and errors are those of `spacing`.
    """
    found = spacing(step, block_length)
    return _ratio(found.isolated, found.unmasked)


def _checked(step: ArrayLike, block_length: int) -> NDArray[np.int64]:
    if block_length < 1:
        raise AnalysisError(f"block_length is {block_length}, at least 1 is needed")
    steps = np.atleast_2d(np.asarray(step))
    if steps.ndim != 2 or not (np.issubdtype(steps.dtype, np.integer) or steps.size == 0):
        raise AnalysisError(
            f"steps are whole numbers in an array [N, G], not {steps.dtype} of shape {list(steps.shape)}: "
            "`padded` makes one of rows of different lengths"
        )
    return steps.astype(np.int64)


def _per_row(row: NDArray, values: NDArray, count: int) -> NDArray[np.int64]:
    """The sum of whole `values` for each row, int64 `[N]`."""
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, row, values.astype(np.int64))
    return total


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    """Float `[N]`, nan where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
