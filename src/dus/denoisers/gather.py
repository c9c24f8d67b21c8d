"""Columns of batched tensors: taking them, finding them, and leaving padding out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def first_real(attention_mask: Tensor) -> Tensor:
    """int64 `[N, 1]`: each row's first nonzero column of `attention_mask` `[N, L]`."""
    return attention_mask.int().argmax(dim=1, keepdim=True)


def take(x: Tensor, index: Tensor) -> Tensor:
    """The columns `index` (int64 `[R]`, `[1, R]` or `[N, R]`) of `x` `[N, L, …]`: `[N, R, …]`."""
    if index.dim() == 1:
        return x[:, index]
    return x[torch.arange(x.shape[0], device=x.device)[:, None], index]


def index_in(columns: Tensor, wanted: Tensor, width: int) -> Tensor:
    """Where each of the `wanted` columns stands among `columns`.

    Args:
        columns: int64 `[P]` or `[N, P]`, each under `width`, none twice in a row.
        wanted: int64 `[R]` or `[N, R]`, each under `width`.
        width: of the canvas.

    Returns:
        int64 `[1, R]` or `[N, R]`. A wanted column that is not among the columns gets P, an index out of range, so
        that taking it fails instead of misleading, and the host need not wait for the device to find out.
    """
    columns, wanted = torch.atleast_2d(columns), torch.atleast_2d(wanted)
    count = columns.shape[1]
    place = columns.new_full((columns.shape[0], width), count)
    place.scatter_(1, columns, torch.arange(count, device=columns.device).expand_as(columns))
    batch = max(columns.shape[0], wanted.shape[0])
    return place.expand(batch, -1).gather(1, wanted.expand(batch, -1))


def without_padding(fn: Callable[[Tensor], Tensor], canvas: Tensor, attention_mask: Tensor, read: Tensor) -> Tensor:
    """`fn(canvas)` at `read` for a function that knows no padding: called once for each kind of padding.

    Rows whose real tokens span the same columns go together, cut to that span.

    Args:
        fn: int64 `[n, l]` to float `[n, l, V]`.
        canvas: int64 `[N, L]`.
        attention_mask: `[N, L]`, nonzero on one span of columns in each row.
        read: int64 `[R]` or `[N, R]`, in canvas columns.

    Returns:
        Float `[N, R, V]`.
    """
    first = first_real(attention_mask)
    spans = torch.cat([first, first + attention_mask.bool().sum(dim=1, keepdim=True)], dim=1)
    read = torch.atleast_2d(read).expand(len(canvas), -1)
    kinds, kind_of = spans.unique(dim=0, return_inverse=True)
    rows = [(kind_of == kind).nonzero().squeeze(1) for kind in range(len(kinds))]
    parts = [
        take(fn(canvas[group, start:stop]), read[group] - start)
        for group, (start, stop) in zip(rows, kinds.tolist(), strict=True)
    ]
    return torch.cat(parts)[torch.cat(rows).argsort()]
