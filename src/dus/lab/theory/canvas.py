"""The token tensor of a batch: prompts of different lengths, aligned at their first masked position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dus.decoding.settings import GenerationError


@dataclass
class Canvas:
    """Rows that are decoded together.

    What is to be generated starts in the same column in every row, so that the blocks of all rows are the same
    columns; shorter prompts are padded on the left, shorter tails on the right.

    Attributes:
        tokens: int64 `[N, L]`, on the denoiser's device.
        attention_mask: bool `[N, L]`, False at padding; None where nothing is padded.
        first: the column of the first masked position; the region is all columns from there on.
        masked: bool `[N, G]` on the host: the region's masks as they were at the start.
        lengths: for each row, the positions of its region, at most G.
    """

    tokens: Tensor
    attention_mask: Tensor | None
    first: int
    masked: Tensor
    lengths: list[int]

    def __getitem__(self, rows: list[int]) -> Canvas:
        """Some of the rows, by index."""
        index = torch.tensor(rows, dtype=torch.long, device=self.tokens.device)
        mask = None if self.attention_mask is None else self.attention_mask[index]
        return Canvas(
            self.tokens[index], mask, self.first, self.masked[index.cpu()], [self.lengths[row] for row in rows]
        )

    @property
    def region(self) -> Tensor:
        """Int64 `[N, G]`: a view of the tokens from the first masked position on."""
        return self.tokens[:, self.first :]


def lay_out(
    rows: list[Tensor], *, mask_token_id: int, max_new_tokens: int, context: int | None, device: torch.device | str
) -> Canvas:
    """The canvas of some prompts, each followed by `max_new_tokens` masks.

    Args:
        rows: int64 1-D tensors; a mask may stand anywhere in them.
        mask_token_id: the denoiser's.
        max_new_tokens: how many masks to append to each row.
        context: the longest row that the denoiser takes; None for no limit.
        device: where the canvas goes.

    Raises:
        GenerationError: where a row and its masks exceed the context.
    """
    for row in rows:
        check_fit(len(row), max_new_tokens, context)
    tail = torch.full((max_new_tokens,), mask_token_id, dtype=torch.long)
    whole = [torch.cat([row.cpu().long(), tail]) for row in rows]
    prefixes, regions = zip(*(_split(text, mask_token_id) for text in whole), strict=True)
    first = max(len(prefix) for prefix in prefixes)
    region = pad_sequence(list(regions), batch_first=True)
    prefix = pad_sequence([part.flip(0) for part in prefixes], batch_first=True).flip(1)
    tokens = torch.cat([prefix, region], dim=1)
    column = torch.arange(tokens.shape[1])
    starts = torch.tensor([first - len(part) for part in prefixes])[:, None]
    stops = torch.tensor([first + len(part) for part in regions])[:, None]
    real = (column >= starts) & (column < stops)
    return Canvas(
        tokens=tokens.to(device),
        attention_mask=None if bool(real.all()) else real.to(device),
        first=first,
        masked=(region == mask_token_id) & real[:, first:],
        lengths=[len(part) for part in regions],
    )


def check_fit(length: int, max_new_tokens: int, context: int | None) -> None:
    """Raise `GenerationError` where a prompt of a length and its masks exceed the context; None is no limit."""
    if context is not None and length + max_new_tokens > context:
        raise GenerationError(
            f"a prompt of {length} tokens and {max_new_tokens} new ones exceed the model's context of {context} "
            f"tokens; shorten the prompt or generate at most {max(context - length, 0)} tokens"
        )


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor on the device, without waiting for what the device was told before.

    A blocking copy does wait. The data is staged before this returns, so the host may overwrite it; only on MPS is it
    not, and there the copy blocks.
    """
    return tensor.to(device, non_blocking=device.type != "mps")


def _split(row: Tensor, mask_token_id: int) -> tuple[Tensor, Tensor]:
    """What stands before the first mask, and the rest."""
    masks = (row == mask_token_id).nonzero()
    first = int(masks[0]) if len(masks) else len(row)
    return row[:first], row[first:]
