"""How much of the canvas a step recomputes: keys and values that are written at given columns, and kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from dus.decoding.canvas import Canvas, send
from dus.decoding.progress import positions

MANY = 8
"""Under `touched`, a step that reads one in so many of a block's masks, or more, recomputes all of them."""


class ColumnCache(Cache):
    """Keys and values of every canvas column; a forward overwrites those at `positions` of `rows`.

    Attributes:
        positions: int64 `[P]`, or `[n, P]` with repeats in short rows. The first forward is of all rows and columns.
        rows: int64 `[n]`, the rows that the forward is of; None for all N.
        keys, values: for each layer `[N, heads, L, D]`.
    """

    positions: Tensor

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.rows: Tensor | None = None
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    @property
    def is_initialized(self) -> bool:
        """Whether a forward has filled it."""
        return bool(self.keys)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write `[n, heads, P, D]` and return all columns of the rows, `[n, heads, L, D]`."""
        if layer_idx == len(self.keys):
            # As they come, heads lie behind positions, and a batch would be rearranged for every product with them.
            self.keys.append(key_states.contiguous())
            self.values.append(value_states.contiguous())
            return self.keys[-1], self.values[-1]
        return self._written(self.keys[layer_idx], key_states), self._written(self.values[layer_idx], value_states)

    def _written(self, states: Tensor, new: Tensor) -> Tensor:
        part = states if self.rows is None else states[self.rows]
        if self.positions.dim() == 1:
            part.index_copy_(2, self.positions, new)
        else:
            part.scatter_(2, self.positions[:, None, :, None].expand_as(new), new)
        if self.rows is not None:
            states[self.rows] = part
        return part

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows, int64 indices."""
        self.keys = [states[rows] for states in self.keys]
        self.values = [states[rows] for states in self.values]


@dataclass(frozen=True)
class View:
    """What a cache mode decides by. Numbers are canvas columns, the hidden rows of a shifted family included.

    Attributes:
        opening: whether this is the first step of a block.
        previous: int64 `[n]` on the host, for each row the first column that its block before needs, or this one where
            it is its first; a block in which a row had nothing to decode is none of its blocks.
        start: first column that the block needs.
        stop: the column after the block.
        end: the canvas's length.
        touched: gives bool `[n, W]` on the host, from the least `previous` to `stop`: tokens that changed since their
            column was last computed, what is read now, and where that is much of the block all its masks.
    """

    opening: bool
    previous: Tensor
    start: int
    stop: int
    end: int
    touched: Callable[[], Tensor]


def prefix(view: View) -> Tensor | None:
    """Keep what stands before the block; recompute everything at a block's first step (Fast-dLLM, 2505.22618)."""
    return None if view.opening else torch.arange(view.start, view.end)


def dual(view: View) -> Tensor | None:
    """Keep what stands before and behind the block; recompute everything at a block's first step (Fast-dLLM)."""
    return None if view.opening else torch.arange(view.start, view.stop)


def block(view: View) -> Tensor:
    """Recompute the block, and once more the block before at the first step; the rest stays as first computed.

    The prompt never sees what is generated, and the masked suffix never sees anything but the prompt.
    """
    if not view.opening:
        return torch.arange(view.start, view.stop)
    first = int(view.previous.min())
    return first + positions(torch.arange(first, view.stop) >= view.previous[:, None])


def touched(view: View) -> Tensor:
    """Recompute only tokens that changed and positions that are read now, with all masks where these are many.

    As `block`, and besides: a token keeps the keys and values of the step after it was written; and at a step that
    reads less than one in `MANY` of a block's masks, the others keep those of before.
    """
    return view.previous.min() + positions(view.touched())


MODES: dict[str, Callable[[View], Tensor | None]] = {
    "prefix": prefix,
    "dual": dual,
    "block": block,
    "touched": touched,
}


class KeptStates:
    """The cache of one batch on its way: before each denoiser call it says which columns the call computes.

    Args:
        mode: of `MODES`.
        canvas: the batch.
        shift: how far before a position stands the hidden row that predicts it; 1 for Dream.
        copies: rows of the denoiser's batch for each of the canvas: 2 under guidance.
    """

    def __init__(self, mode: str, canvas: Canvas, *, shift: int, copies: int) -> None:
        self.mode, self.shift, self.copies = MODES[mode], shift, copies
        self.first, self.end = canvas.first, canvas.tokens.shape[1]
        self.device = canvas.tokens.device
        self.computed = canvas.masked.clone()
        self.start, self.previous = torch.zeros(2, len(canvas.tokens), dtype=torch.long)
        self.cache: ColumnCache | None = None

    def before_call(self, here: Tensor, start: int, masked: Tensor, read: Tensor) -> ColumnCache:
        """The cache, set to the rows and the columns that this call computes; the first call has to be of all rows.

        Args:
            here: int64 `[n]` on the host, the rows.
            start: the block's first position in the region.
            masked: bool `[n, B]` on the host, the block's masks now.
            read: bool `[n, B]` on the host, the positions that are read, at least one a row.
        """
        opening = bool((self.start[here] != start).any())  # and then for all of them
        if opening:
            self.previous[here], self.start[here] = self.start[here], start
        columns = None
        if self.cache is None:
            self.cache = ColumnCache()
        else:
            columns = self.mode(
                View(
                    opening=opening,
                    previous=(self.first + self.previous[here] - self.shift).clamp(min=0),
                    start=max(self.first + start - self.shift, 0),
                    stop=self.first + start + masked.shape[1],
                    end=self.end,
                    touched=lambda: self._touched(here, start, masked, read),
                )
            )
        columns = torch.arange(self.end) if columns is None else columns
        self.cache.positions = send(columns if columns.dim() == 1 else columns.repeat(self.copies, 1), self.device)
        self.cache.rows = None if len(here) == len(self.computed) else self._copies_of(here)
        return self.cache

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows, int64 indices on the host."""
        if self.cache is not None:
            self.cache.keep(self._copies_of(rows))
        self.computed, self.start, self.previous = self.computed[rows], self.start[rows], self.previous[rows]

    def _copies_of(self, rows: Tensor) -> Tensor:
        """The rows of the denoiser's batch that belong to rows of the canvas."""
        count = len(self.computed)
        return send(torch.cat([rows + copy * count for copy in range(self.copies)]), self.device)

    def _touched(self, here: Tensor, start: int, masked: Tensor, read: Tensor) -> Tensor:
        """Bool `[n, W]` from the first column that a block before needs; notes what will then be computed."""
        rows = slice(None) if len(here) == len(self.computed) else here
        previous = int(self.previous[rows].min())
        lead, gap = min(self.shift, self.first + previous), start - previous
        columns = slice(previous, start + masked.shape[1])
        now = torch.zeros(len(here), gap + masked.shape[1], dtype=torch.bool)
        now[:, gap:] = masked
        touched = torch.zeros(len(here), lead + now.shape[1], dtype=torch.bool)
        touched[:, lead:] = self.computed[rows, columns] != now
        self.computed[rows, columns] = now
        many = MANY * read.sum(dim=1, keepdim=True) >= masked.sum(dim=1, keepdim=True)
        touched[:, lead + gap :] |= read | (masked & many)
        if self.shift:  # the row that predicts a position stands before it, but for the first column's own
            first = max(self.shift - lead - gap, 0)
            touched[:, lead + gap - self.shift + first : -self.shift] |= read[:, first:]
        return touched
