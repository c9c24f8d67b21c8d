"""How much of the canvas a call recomputes: keys and values that are written at some columns, and kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from dus.denoisers import Layout

MANY = 8
"""Under `touched`, a step that reads one in so many of a block's masks, or more, recomputes all of them."""


class KeyValuePool(Cache):
    """Keys and values of every canvas column of every line; a forward overwrites those of its layout.

    The pool is allocated when a forward first fills it, for as many lines and columns as the engine's canvas has.

    Attributes:
        layout: the columns that the next forward computes, of the first lines.
        lines, width: the size of the canvas.
        keys, values: for each layer `[lines, heads, width, D]`.
    """

    layout: Layout

    def __init__(self, lines: int, width: int) -> None:
        super().__init__(layers=[])
        self.lines, self.width = lines, width
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write `[N, heads, P, D]`, or ragged `[1, heads, T, D]`, and return the columns up to the layout's width."""
        if layer_idx == len(self.keys):
            for kept, new in ((self.keys, key_states), (self.values, value_states)):
                kept.append(new.new_zeros(self.lines, new.shape[1], self.width, new.shape[3]))
        return self._written(self.keys[layer_idx], key_states), self._written(self.values[layer_idx], value_states)

    def _written(self, states: Tensor, new: Tensor) -> Tensor:
        layout = self.layout
        part = states[: len(layout.counts)]
        if layout.rows is not None:
            part[layout.rows, :, layout.columns] = new[0].transpose(0, 1)
        else:
            columns = layout.columns.to(states.device)  # layers may be on several devices
            if columns.dim() == 1:
                part.index_copy_(2, columns, new)
            else:
                part.scatter_(2, columns[:, None, :, None].expand_as(new), new)
        return part[:, :, : layout.width]

    def move(self, source: int, target: int) -> None:
        """Have a line hold what another one holds."""
        for states in (*self.keys, *self.values):
            states[target].copy_(states[source])

    def grow(self, lines: int, width: int) -> None:
        """Make room for a larger canvas and keep what is there."""
        for kept in (self.keys, self.values):
            for layer, states in enumerate(kept):
                larger = states.new_zeros(lines, states.shape[1], width, states.shape[3])
                larger[: self.lines, :, : self.width] = states
                kept[layer] = larger
        self.lines, self.width = lines, width


@dataclass(frozen=True)
class View:
    """What a cache mode decides by, for N lines. Numbers are canvas columns, int64 `[N, 1]` on the host.

    Attributes:
        column: int64 `[W]`, the columns 0, 1, ….
        start, stop: the block that is decoded; `start` is the first column that it needs, which under shifted logits
            is one before the block.
        previous: the first column that the line's block before needed, or `start` where there was none.
        end: how many columns the line has.
        opening: bool `[N, 1]`, whether this is the first step of the block.
        stale: bool `[N, W]`, tokens that changed since their column was last computed.
        read: bool `[N, W]`, columns whose hidden rows are read.
        masked: bool `[N, W]`, the masks of the block.
    """

    column: Tensor
    start: Tensor
    stop: Tensor
    previous: Tensor
    end: Tensor
    opening: Tensor
    stale: Tensor
    read: Tensor
    masked: Tensor


def prefix(view: View) -> Tensor:
    """Keep what stands before the block; recompute everything at a block's first step (Fast-dLLM, 2505.22618)."""
    return (view.opening | (view.column >= view.start)) & (view.column < view.end)


def dual(view: View) -> Tensor:
    """Keep what stands before and behind the block; recompute everything at a block's first step (Fast-dLLM)."""
    return prefix(view) & (view.opening | (view.column < view.stop))


def block(view: View) -> Tensor:
    """Recompute the block, and once more the block before at the first step; the rest stays as first computed.

    With full attention the prompt never sees what is generated, and the masked suffix never sees anything but the
    prompt. With block-causal attention this is exact: a finished block is computed once more together with the next
    block's first step, and never again.
    """
    return (view.column >= view.previous.where(view.opening, view.start)) & (view.column < view.stop)


def touched(view: View) -> Tensor:
    """Recompute only tokens that changed and positions that are read now, with all masks where these are many.

    As `block`, and besides: a token keeps the keys and values of the step after it was written; and at a step that
    reads less than one in `MANY` of a block's masks, the others keep those of before.
    """
    many = MANY * view.read.sum(dim=1, keepdim=True) >= view.masked.sum(dim=1, keepdim=True)
    return view.stale | view.read | (view.masked & many)


MODES: dict[str, Callable[[View], Tensor]] = {"prefix": prefix, "dual": dual, "block": block, "touched": touched}


def layout_of(computed: Tensor, seen: list[int], device: torch.device, *, ragged: bool) -> Layout:
    """The layout that computes some columns.

    Args:
        computed: bool `[N, W]` on the host, at least one column a line.
        seen: for each line the columns that it may attend to.
        device: where the layout's tensors go.
        ragged: whether lines may have different numbers of columns; else shorter ones repeat their first column.
    """
    rows, columns = computed.nonzero(as_tuple=True)
    counts = computed.sum(dim=1).tolist()
    first = computed.int().argmax(dim=1)
    most = max(counts)
    kept: Tensor | None = None
    if min(counts) == most:
        columns = columns.view(len(counts), most)
        if bool((columns == columns[0]).all()):
            columns = columns[0]
    elif ragged:
        both = send(torch.stack([rows, columns]), device)
        kept, columns = both[0], both[1]
    else:
        order = (~computed).long().argsort(dim=1, stable=True)[:, :most]
        columns = order.where(torch.arange(most) < computed.sum(dim=1, keepdim=True), first[:, None])
        counts = [most] * len(counts)
    columns = columns if kept is not None else send(columns, device)
    return Layout(columns, kept, tuple(counts), tuple(first.tolist()), tuple(seen))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor on the device, without waiting for what the device was told before.

    A blocking copy does wait. The data is staged before this returns, so the host may overwrite it; only on MPS is it
    not, and there the copy blocks.
    """
    return tensor.to(device, non_blocking=device.type != "mps")
