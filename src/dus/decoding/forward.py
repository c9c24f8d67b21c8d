"""One denoiser call for a batch: its rows, its cache, its guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dus.decoding.caches import KeptStates
from dus.decoding.canvas import Canvas, send
from dus.decoding.progress import positions
from dus.decoding.settings import Settings
from dus.denoisers import Denoiser, DenoiserError


class Forward:
    """Calls the denoiser on some rows of a batch, for the positions that are wanted.

    Args:
        model: the denoiser.
        canvas: the batch; the caller goes on writing to its tokens.
        settings: for guidance and the cache mode.
    """

    def __init__(self, model: Denoiser, canvas: Canvas, settings: Settings) -> None:
        self.model, self.canvas, self.scale = model, canvas, settings.cfg_scale
        self.states: KeptStates | None = None
        if settings.cache != "none":
            shift, copies = getattr(model, "shift", 0), 1 if self.scale == 0 else 2
            self.states = KeptStates(settings.cache, canvas, shift=shift, copies=copies)

    def __call__(self, here: Tensor, start: int, wanted: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, float `[N, R, V]`, and the block offsets they are for, int64 `[R]` or `[N, R]` on the device.

        Args:
            here: int64 `[N]` on the host, the rows.
            start: the block's first position in the region.
            wanted: bool `[N, B]` on the host, at least one a row.
            masked: bool `[N, B]` on the host.
        """
        device = self.canvas.tokens.device
        count = len(self.canvas.tokens)
        if self.states is None or self.states.cache is not None or len(here) == count:
            read = send(positions(wanted), device)
            return self._logits(here, start, read, wanted, masked), read
        # A cache begins with all rows; those without a mask in this block run along once, reading one position each.
        all_wanted, all_masked = torch.zeros(2, count, wanted.shape[1], dtype=torch.bool)
        all_wanted[:, 0] = True
        all_wanted[here], all_masked[here] = wanted, masked
        read = send(positions(all_wanted), device)
        logits = self._logits(torch.arange(count), start, read, all_wanted, all_masked)[send(here, device)]
        return logits, read if read.dim() == 1 else read[send(here, device)]

    def keep(self, canvas: Canvas, rows: Tensor) -> None:
        """Go on with some of the rows, int64 indices on the host, whose canvas is `canvas`."""
        self.canvas = canvas
        if self.states is not None:
            self.states.keep(rows)

    @torch.no_grad()
    def _logits(self, here: Tensor, start: int, read: Tensor, wanted: Tensor, masked: Tensor) -> Tensor:
        """Float `[N, R, V]`; under guidance `u + (1 + s) (c - u)`, where u is blind to all that was given."""
        cache = None if self.states is None else self.states.before_call(here, start, masked, wanted)
        index = slice(None) if len(here) == len(self.canvas.tokens) else send(here, read.device)
        tokens, mask = self.canvas.tokens[index], self.canvas.attention_mask
        mask = None if mask is None else mask[index]
        column = self.canvas.first + start + read
        if self.scale == 0:
            return self._answered(tokens, read=column, attention_mask=mask, cache=cache)
        given = torch.ones_like(tokens, dtype=torch.bool)
        given[:, self.canvas.first :] = ~send(self.canvas.masked, tokens.device)[index]
        both = self._answered(
            torch.cat([tokens, tokens.masked_fill(given, self.model.mask_token_id)]),
            read=column if column.dim() == 1 else torch.cat([column, column]),
            attention_mask=None if mask is None else torch.cat([mask, mask]),
            cache=cache,
        )
        seeing, blind = both.float().chunk(2)
        guided = blind + (1 + self.scale) * (seeing - blind)
        return guided.masked_fill(seeing == -torch.inf, -torch.inf)  # what is impossible stays so, and is no NaN

    def _answered(self, canvas: Tensor, *, read: Tensor, **others: Any) -> Tensor:
        """The denoiser's logits, of the shape that its contract asks for."""
        logits = self.model.logits(canvas, read=read, **others)
        wanted = (len(canvas), read.shape[-1], self.model.vocab_size)
        if logits.shape != wanted:
            raise DenoiserError(
                f"the denoiser gave logits of shape {tuple(logits.shape)} where {wanted} were asked for"
            )
        return logits


@dataclass(frozen=True)
class Reading:
    """Logits of a stretch, read once to choose by; the first step of the block takes from them what it wants.

    Attributes:
        rows: int64 `[N]` on the host, ascending.
        wanted: bool `[N, W]` on the host, the positions that were read.
        logits: float `[N, R, V]`, of these positions.
    """

    rows: Tensor
    wanted: Tensor
    logits: Tensor

    def take(self, here: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, float `[n, R, V]`, and the offsets they are for, int64 `[R]` or `[n, R]`, as a forward would give.

        Args:
            here: int64 `[n]` on the host, some of the rows.
            wanted: bool `[n, B]` on the host, at least one a row, all of them read.
        """
        index, read = torch.searchsorted(self.rows, here), positions(wanted)
        place = (self.wanted.cumsum(dim=1) - 1)[index]
        column = place.gather(1, read.expand(len(here), -1))
        device = self.logits.device
        return self.logits[send(index, device)[:, None], send(column, device)], send(read, device)
