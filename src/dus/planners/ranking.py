"""Choosing the best of some positions, row by row, ties to the lower position."""

from __future__ import annotations

import torch
from torch import Tensor


def descending(score: Tensor, among: Tensor) -> Tensor:
    """Int64 `[N, B]`: positions by falling score, those of `among` before all others, ties to the lower one."""
    return score.masked_fill(~among, -torch.inf).sort(dim=-1, descending=True, stable=True).indices


def rank(score: Tensor, among: Tensor) -> Tensor:
    """Int64 `[N, B]`: the place of each position in `descending`, from 0; those outside `among` come last.

    A score of minus infinity within `among` still ranks before every position outside it.
    """
    floor = torch.finfo(score.dtype).min
    order = descending(score.clamp(min=floor), among)
    places = torch.arange(score.shape[-1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def best(score: Tensor, among: Tensor, count: Tensor | int) -> Tensor:
    """Bool `[N, B]`: the `count` (int or int64 `[N, 1]`) positions of `among` with the highest score."""
    return (rank(score, among) < count) & among
