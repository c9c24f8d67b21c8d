"""One denoiser call for all rows in the engine, whatever their planners and places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dus.decoding.caches import MODES, View, layout_of, send
from dus.decoding.canvas import Canvas
from dus.decoding.groups import Group, Wanted
from dus.denoisers import Denoiser, DenoiserError


@torch.no_grad()
def logits_of(model: Denoiser, canvas: Canvas, groups: Sequence[Group], wanted: Sequence[Wanted]) -> tuple[Tensor, int]:
    """Call the denoiser once.

    Args:
        model: The denoiser.
        canvas: The canvas that holds the tokens of the rows.
        groups: The groups that have rows.
        wanted: For each group the positions that it reads.

    Returns:
        Float `[T, V]`, one group's after the other, and how many columns were computed, counted over lines. Under
        guidance the logits are `u + (1 + s) (c - u)`, u blind to the prompt.

    Raises:
        DenoiserError: The denoiser gave logits of another shape than were asked for.
    """
    lines = np.concatenate([part.lines for part in wanted] + [part.blind for part in wanted])
    blind = [part.columns for part in wanted if len(part.blind)]
    columns = np.concatenate([part.columns for part in wanted] + blind)
    both = send(torch.from_numpy(np.stack([lines, columns])), canvas.device)
    read = (both[0], both[1])
    tokens = canvas.tokens[: len(canvas.owner), : canvas.used]
    seen = [row.stop if model.block_length else len(row.tokens) for row in canvas.owner]
    if canvas.pool is None:
        width = max(seen)
        mask = None
        if min(seen) < width:
            mask = send(torch.arange(width) < torch.tensor(seen)[:, None], canvas.device)
        computed = width * len(seen)
        logits = model.logits(tokens[:, :width], read=read, attention_mask=mask)
    else:
        due = _due(canvas, model, groups, lines, columns)
        layout = canvas.pool.layout = layout_of(due, seen, canvas.device, ragged=model.ragged)
        computed = sum(layout.counts)
        logits = model.logits(tokens, read=read, cache=canvas.pool)
    if logits.shape != (len(lines), model.vocab_size):
        got, asked = tuple(logits.shape), (len(lines), model.vocab_size)
        raise DenoiserError(f"the denoiser gave logits of shape {got} where {asked} were asked for")
    return (_guided(logits, groups, wanted) if blind else logits), computed


def _due(
    canvas: Canvas, model: Denoiser, groups: Sequence[Group], lines: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Bool `[N, W]`: the columns whose keys and values the call computes."""
    owner, width, shift = canvas.owner, canvas.used, model.shift
    facts = [
        [row.start - shift, row.stop, row.previous - shift, len(row.tokens), row.opening, row.fresh] for row in owner
    ]
    start, stop, previous, end, opening, fresh = np.array(facts, dtype=np.int64).T[:, :, None]
    end = stop if model.block_length else end
    column = np.arange(width)
    stale = canvas.stale[: len(owner), :width]
    read, masked = np.zeros((2, len(owner), width), dtype=bool)
    if canvas.cache == "touched":
        read[lines, np.maximum(columns - shift, 0)] = True
        for group in groups:
            for row, mine in zip(group.rows, group.masked, strict=True):
                masked[row.lines, row.start : row.stop] = mine[: row.stop - row.start]
    view = View(column, start.clip(0), stop, previous.clip(0), end, opening > 0, stale, read, masked)
    computed = MODES[canvas.cache](view)
    if fresh.any():
        computed = computed | ((fresh > 0) & (column < end))
    if canvas.cache == "touched":
        stale &= ~computed
    return computed


def _guided(logits: Tensor, groups: Sequence[Group], wanted: Sequence[Wanted]) -> Tensor:
    """Float `[T, V]` from the logits of what sees the prompt and, behind them, of what does not."""
    sizes = [len(part.rows) for part in wanted]
    seeing, *blind = logits.float().split([sum(sizes), *(len(part.blind) for part in wanted)])
    parts = list(seeing.split(sizes))
    for number, (group, unseeing) in enumerate(zip(groups, blind, strict=True)):
        if len(unseeing):
            given = parts[number]
            guided = unseeing + (1 + group.settings.cfg_scale) * (given - unseeing)
            # What is impossible stays so; what only the blind pass rules out is left to the other one.
            possible = guided.masked_fill(given == -torch.inf, -torch.inf)
            parts[number] = possible.where(unseeing > -torch.inf, given)
    return torch.cat(parts)
