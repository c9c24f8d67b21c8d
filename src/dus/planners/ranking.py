"""Choosing the best of some positions, row by row, ties to the lower position."""

from __future__ import annotations

import torch
from torch import Tensor


def rank(score: Tensor, among: Tensor) -> Tensor:
    """Int64 `[N, B]`: each position's place by falling score, from 0, ties to the lower position.

    Positions outside `among` come last, even after a score of minus infinity within it.
    """
    lowest = torch.finfo(score.dtype).min
    kept = score.clamp(min=lowest).masked_fill(~among, -torch.inf)
    order = kept.sort(dim=-1, descending=True, stable=True).indices
    places = torch.arange(score.shape[-1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def best(score: Tensor, among: Tensor, count: Tensor | int) -> Tensor:
    """Bool `[N, B]`: the `count` (int or int64 `[N, 1]`) positions of `among` with the highest score."""
    return (rank(score, among) < count) & among
