"""How much of the canvas a call recomputes: keys and values that are written at some columns, and kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache

from dus.denoisers import Layout

REPEATS = 3
"""On a GPU a layout is ragged only where a rectangular one has more than so many times as many columns."""

MANY = 8
"""Under `touched`, a step that reads one in so many of a block's masks, or more, recomputes all of them."""


_STAGED = 1 << 16
"""Bytes of a copy to a GPU up to which CUDA stages it itself."""


class KeyValuePool(Cache):
    """Keys and values of every canvas column of every line; a forward overwrites those of its layout.

    The pool is allocated when a forward first fills it, for as many lines and columns as the engine's canvas has.

    Attributes:
        lines, width: The size of the canvas.
        keys, values: For each layer a tensor `[lines, heads, width, D]`.
        used: For each layer the keys and values of the first lines, which are those of the layout.
    """

    def __init__(self, lines: int, width: int) -> None:
        super().__init__(layers=[])
        self.lines, self.width = lines, width
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.used: list[tuple[Tensor, Tensor]] = []

    @property
    def layout(self) -> Layout:
        """The columns that the next forward computes, of the first lines."""
        return self._layout

    @layout.setter
    def layout(self, layout: Layout) -> None:
        lines = len(layout.counts)
        if len(self.used) < len(self.keys) or (self.used and len(self.used[0][0]) != lines):
            self.used = [(keys[:lines], values[:lines]) for keys, values in zip(self.keys, self.values, strict=True)]
        self._layout = layout

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write `[N, heads, P, D]`, or ragged `[1, heads, T, D]`, and return the columns up to the layout's width."""
        if layer_idx == len(self.keys):
            for kept, new in ((self.keys, key_states), (self.values, value_states)):
                kept.append(new.new_zeros(self.lines, new.shape[1], self.width, new.shape[3]))
            lines = len(self.layout.counts)
            self.used.append((self.keys[-1][:lines], self.values[-1][:lines]))
        keys, values = self.used[layer_idx]
        return self._written(keys, key_states), self._written(values, value_states)

    def _written(self, part: Tensor, new: Tensor) -> Tensor:
        layout = self.layout
        if layout.rows is not None:
            part[layout.rows, :, layout.columns] = new[0].transpose(0, 1)
        else:
            columns = layout.columns.to(part.device)  # layers may be on several devices
            if columns.dim() == 1:
                part.index_copy_(2, columns, new)
            else:
                part.scatter_(2, columns[:, None, :, None].expand_as(new), new)
        return part if layout.width == self.width else part[:, :, : layout.width]

    def move(self, source: int, target: int) -> None:
        """Have a line hold what another one holds."""
        for states in (*self.keys, *self.values):
            states[target].copy_(states[source])

    def grow(self, lines: int, width: int) -> None:
        """Make room for a larger canvas and keep what is there."""
        self.used = []  # or what each layer had would stay until all have grown
        for kept in (self.keys, self.values):
            for layer, states in enumerate(kept):
                larger = states.new_zeros(lines, states.shape[1], width, states.shape[3])
                larger[: self.lines, :, : self.width] = states
                kept[layer] = larger
        self.lines, self.width = lines, width


@dataclass(frozen=True)
class View:
    """What a cache mode decides by, for N lines, on the host. Numbers are canvas columns, int64 `[N, 1]`.

    Attributes:
        column: Int64 `[W]`: the columns 0, 1, and so on.
        start, stop: The block that is decoded. `start` is the first column that it needs, which under shifted logits
            is one before the block.
        previous: The first column that the line's block before needed, or `start` if there was none.
        end: The number of columns that the line has.
        opening: Bool `[N, 1]`: whether this is the first step of the block.
        stale: Bool `[N, W]`: the tokens that changed since their column was last computed; kept under `touched` only.
        read: Bool `[N, W]`: the columns whose hidden rows are read; kept under `touched` only.
        masked: Bool `[N, W]`: the masks of the block; kept under `touched` only.
    """

    column: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    previous: np.ndarray
    end: np.ndarray
    opening: np.ndarray
    stale: np.ndarray
    read: np.ndarray
    masked: np.ndarray


def prefix(view: View) -> np.ndarray:
    """Keep what stands before the block; recompute everything at a block's first step (Fast-dLLM, 2505.22618)."""
    return (view.opening | (view.column >= view.start)) & (view.column < view.end)


def dual(view: View) -> np.ndarray:
    """Keep what stands before and behind the block; recompute everything at a block's first step (Fast-dLLM)."""
    return prefix(view) & (view.opening | (view.column < view.stop))


def block(view: View) -> np.ndarray:
    """Recompute the block, and once more the block before at the first step; the rest stays as first computed.

    With full attention the prompt never sees what is generated, and the masked suffix never sees anything but the
    prompt. With block-causal attention this is exact: a finished block is computed once more together with the next
    block's first step, and never again.
    """
    return (view.column >= np.where(view.opening, view.previous, view.start)) & (view.column < view.stop)


def touched(view: View) -> np.ndarray:
    """Recompute only tokens that changed and positions that are read now, with all masks where these are many.

    As `block`, and besides: a token keeps the keys and values of the step after it was written; and at a step that
    reads less than one in `MANY` of a block's masks, the others keep those of before.
    """
    many = MANY * view.read.sum(axis=1, keepdims=True) >= view.masked.sum(axis=1, keepdims=True)
    return view.stale | view.read | (view.masked & many)


MODES: dict[str, Callable[[View], np.ndarray]] = {"prefix": prefix, "dual": dual, "block": block, "touched": touched}


def layout_of(computed: np.ndarray, seen: list[int], device: torch.device, *, ragged: bool) -> Layout:
    """The layout that computes some columns.

    Args:
        computed: Bool `[N, W]`: the columns that are computed, at least one in each line.
        seen: For each line the number of columns that it may attend to.
        device: The device that the layout's tensors go to.
        ragged: Whether lines may have different numbers of columns. If not, shorter ones repeat their first column, as
            they do on a GPU, where attention line by line waits on launches, unless most of it would be repeats.
    """
    columns: np.ndarray
    rows, columns = computed.nonzero()
    size = computed.sum(axis=1)
    counts, first = size.tolist(), computed.argmax(axis=1)
    most = max(counts)
    if min(counts) == most:
        each = columns.reshape(len(counts), most)
        columns = each[0] if (each == each[0]).all() else each
    elif ragged and (device.type == "cpu" or most * len(counts) > REPEATS * sum(counts)):
        kept, placed = send(torch.from_numpy(np.stack([rows, columns])), device).unbind(0)
        return Layout(placed, kept, tuple(counts), tuple(first.tolist()), tuple(seen))
    else:
        order = (~computed).argsort(axis=1, kind="stable")[:, :most]
        columns = np.where(np.arange(most) < size[:, None], order, first[:, None])
        counts = [most] * len(counts)
    placed = send(torch.from_numpy(columns), device)
    return Layout(placed, None, tuple(counts), tuple(first.tolist()), tuple(seen))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor on the device, without waiting for what the device was told before.

    A blocking copy does wait. The data is staged before this returns, so the host may overwrite it; only on MPS is it
    not, and there the copy blocks. CUDA stages small copies alone, larger ones go by pinned memory.
    """
    if device.type == "cuda" and tensor.nbytes > _STAGED and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "mps")
