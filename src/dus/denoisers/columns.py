"""Columns of batched tensors: which of them a forward computes, taking them, finding them, leaving padding out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The canvas columns that a forward with a cache computes, ascending in each row.

    Where all N rows have equally many the layout is rectangular; else it is ragged, and the rows' columns stand one
    row after the other in a single line.

    Attributes:
        columns: Int64 `[P]`, the same in every row, or `[N, P]`; ragged `[T]`. On the device.
        rows: Int64 `[T]` on the device, the row of each column of a ragged layout; None where it is rectangular.
        counts: How many columns each row has.
        first: Each row's first column.
        seen: How many columns of each row may be attended to, from its first on.
    """

    columns: Tensor
    rows: Tensor | None
    counts: tuple[int, ...]
    first: tuple[int, ...]
    seen: tuple[int, ...]

    @property
    def width(self) -> int:
        """The columns that any row may attend to."""
        return max(self.seen)

    def of(self, canvas: Tensor) -> Tensor:
        """The tokens to compute, `[N, P]` or ragged `[1, T]`, of a canvas `[N, L]`."""
        if self.rows is None:
            return take(canvas, self.columns)
        return canvas[self.rows, self.columns][None]

    def find(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Int64, where each of some canvas positions stands in what is computed, laid out flat.

        A position that is not computed gets an index out of range, so that taking it fails instead of misleading,
        and the host need not wait for the device to find out.

        Args:
            rows, columns: Int64 that broadcast against each other.
        """
        count = len(self.counts)
        size = sum(self.counts)
        place = self.columns.new_full((count, self.width), size)
        order = torch.arange(size, device=place.device)
        if self.rows is not None:
            place[self.rows, self.columns] = order
        else:
            per_row = order.view(count, -1)
            place.scatter_(1, torch.atleast_2d(self.columns).expand_as(per_row), per_row)
        return place[rows, columns]


def first_real(attention_mask: Tensor) -> Tensor:
    """int64 `[N, 1]`: each row's first nonzero column of `attention_mask` `[N, L]`."""
    return attention_mask.int().argmax(dim=1, keepdim=True)


def take(x: Tensor, index: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Some columns of `x` `[N, L, …]`.

    Args:
        x: Any tensor of rows and columns.
        index: Int64 `[R]`, `[1, R]` or `[N, R]`, which gives `[N, R, …]`; or a pair of int64 `[T]`, rows and columns,
            which gives `[T, …]`.
    """
    if isinstance(index, tuple):
        return x[index]
    if index.dim() == 1:
        return x[:, index]
    return x[torch.arange(x.shape[0], device=x.device)[:, None], index]


def predicting(
    read: Tensor | tuple[Tensor, Tensor], shift: int, first: Tensor | None = None
) -> Tensor | tuple[Tensor, Tensor]:
    """The columns whose rows inside a model predict the tokens at `read`; the first token is its own row's.

    Args:
        read: The same as for `take`.
        shift: How many columns before a token its row stands.
        first: Int64 `[N, 1]`, each row's first column, where that is not 0.
    """
    if shift == 0:
        return read
    if isinstance(read, tuple):
        rows, columns = read
        return rows, (columns - shift).maximum(torch.zeros_like(columns) if first is None else first[rows, 0])
    before = read - shift
    return before.clamp_min(0) if first is None else before.maximum(first)


def without_padding(
    fn: Callable[[Tensor], Tensor], canvas: Tensor, attention_mask: Tensor, read: Tensor | tuple[Tensor, Tensor]
) -> Tensor:
    """`fn(canvas)` at `read` for a function that knows no padding: called once for each kind of padding.

    Rows whose real tokens span the same columns go together, cut to that span.

    Args:
        fn: Int64 `[n, l]` to float `[n, l, V]`.
        canvas: Int64 `[N, L]`.
        attention_mask: `[N, L]`, nonzero on one span of columns in each row.
        read: The same as for `take`, in canvas columns.

    Returns:
        Float `[N, R, V]`, or `[T, V]` for a pair.
    """
    first = first_real(attention_mask)
    spans = torch.cat([first, first + attention_mask.bool().sum(dim=1, keepdim=True)], dim=1)
    kinds, kind_of = spans.unique(dim=0, return_inverse=True)
    wanted: list[Tensor] = []
    parts = []
    for kind, (start, stop) in enumerate(kinds.tolist()):
        group = (kind_of == kind).nonzero()[:, 0]
        answer = fn(canvas[group, start:stop])
        if isinstance(read, tuple):
            rows, columns = read
            mine = (kind_of[rows] == kind).nonzero()[:, 0]
            wanted.append(mine)
            parts.append(answer[torch.searchsorted(group, rows[mine]), columns[mine] - start])
        else:
            wanted.append(group)
            parts.append(take(answer, torch.atleast_2d(read).expand(len(canvas), -1)[group] - start))
    return torch.cat(parts)[torch.cat(wanted).argsort()]
