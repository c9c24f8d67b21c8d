"""The families known here as denoisers: the body runs on the columns that are computed, the head on those read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dus.denoisers import attention
from dus.denoisers.base import DenoiserError, KeyValueCache, Read
from dus.denoisers.columns import Layout, first_real, predicting, take
from dus.denoisers.model import MaskedLM, activation_width


class NativeLM(MaskedLM):
    """A model of a family known here as a `Denoiser`.

    The body runs once, on the whole canvas or on what a cache leaves to compute, and only the hidden rows that
    are read go through the vocabulary projection. Padding is masked, and position ids start after it. Where
    `block_length` is a number the attention mask is block-causal. Where the model's class says `causal_context`,
    what stands before the last block of a row attends causally instead, and only that block both ways: nothing may
    stand behind the block that is decoded.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, mask_token_id: int | None = None, shift: int | None = None
    ) -> None:
        super().__init__(model, tokenizer, mask_token_id=mask_token_id)
        if shift not in (None, self.shift):
            raise DenoiserError(f"shift={shift!r} is not {type(self.model).__name__}'s, which is {self.shift}.")
        self.block_length = getattr(model.config, "block_length", None)
        self._causal_context: bool = getattr(model, "causal_context", False)

    @property
    def body(self) -> nn.Module:
        """All but the vocabulary projection."""
        return self.model.model

    @property
    def ragged(self) -> bool:  # type: ignore[override]
        """Whether the attention implementation can take other numbers of columns in one row than in the next."""
        return self.model.config._attn_implementation in attention.RAGGED and not self._split

    @property
    def _split(self) -> bool:
        """Whether layers are on several devices, where what attention is told has to be moved from one to the next."""
        return len(set(map(str, getattr(self.model, "hf_device_map", {}).values()))) > 1

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """As for any masked LM, but keys and values of all layers stay where they are cached, and few logits come."""
        config = self.model.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        states = 2 * config.num_hidden_layers * config.num_key_value_heads * head if cached else 0
        return length * states * self.dtype.itemsize, length * activation_width(self.model) * self.dtype.itemsize

    @torch.no_grad()
    def logits(
        self,
        canvas: Tensor,
        *,
        read: Read,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]` or `[T, V]`, in the model's dtype; see `Denoiser.logits`.

        Raises:
            DenoiserError: a cache is given, and the attention implementation cannot attend to more than it computes.
            IndexError: a position is read that the cache's layout lacks (on a GPU: a device-side assertion).
        """
        if cache is not None:
            return self._cached(canvas, read, cache)
        first = None if attention_mask is None else first_real(attention_mask)
        columns = torch.arange(canvas.shape[1], device=canvas.device)
        positions = torch.atleast_2d(columns if first is None else (columns - first).clamp_min(0))
        hidden = self.body(
            input_ids=canvas,
            position_ids=positions,
            attention_mask=self._mask(attention_mask, positions),
            use_cache=False,
        ).last_hidden_state
        return self._head(take(hidden.to(canvas.device), predicting(read, self.shift, first)))

    def _head(self, hidden: Tensor) -> Tensor:
        """Logits of hidden rows, where these are; the head may have its own device."""
        return self.model.lm_head(hidden).to(hidden.device)

    def _cached(self, canvas: Tensor, read: Read, cache: KeyValueCache) -> Tensor:
        """The logits where a cache says what is computed."""
        layout = cache.layout
        padded = min(layout.seen) < layout.width
        self._check_attention(padded=padded)
        ragged = layout.rows is not None
        # Shapes of a ragged forward never come again: generated code would be made anew each time.
        body = self.body.forward if ragged else self.body
        hidden = body(
            input_ids=layout.of(canvas),
            position_ids=torch.atleast_2d(layout.columns),
            attention_mask=None if ragged else self._layout_mask(layout),
            past_key_values=cache,
            use_cache=False,
            **({"ragged": attention.Ragged.of(layout, self.block_length, self._causal_context)} if ragged else {}),
        ).last_hidden_state
        before = predicting(read, self.shift)
        rows = torch.arange(len(canvas), device=canvas.device)[:, None]
        where = before if isinstance(before, tuple) else (rows, torch.atleast_2d(before))
        return self._head(hidden.to(canvas.device).flatten(0, 1)[layout.find(*where)])

    def _check_attention(self, *, padded: bool) -> None:
        """Flex attention has masks of its own; flash attention cuts a mask of the whole width to what is computed."""
        kind = str(self.model.config._attn_implementation)
        if "flex" in kind or ("flash" in kind and (padded or self.block_length is not None)):
            beside = " for prompts of different lengths" if "flash" in kind and padded else ""
            what = "cache" if self.block_length is None else "block-causal mask"
            raise DenoiserError(f"{kind} takes no {what}{beside}: load with attn_implementation='sdpa'.")

    def _mask(self, attention_mask: Tensor | None, positions: Tensor) -> Tensor | None:
        """The mask of a forward over the whole canvas, in the form that the attention implementation takes.

        Given the `[N, L]` one, transformers makes it too, but waits for the device to see whether anything is
        masked, and writes `[N, 1, P, L]` where `[N, 1, 1, L]` does.
        """
        keep = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        if self.block_length is not None:
            self._check_attention(padded=False)
            keep = attention.block_causal(positions, keep, self.block_length, self._causal_context)
        elif self.model.config._attn_implementation not in (*attention.RAGGED, "eager"):
            return attention_mask
        return attention.formed(keep, self.model)

    def _layout_mask(self, layout: Layout) -> Tensor | None:
        """The mask of a rectangular layout, None where every query sees all columns up to its width."""
        width = layout.width
        keep = None
        if min(layout.seen) < width:
            seen = torch.tensor(layout.seen).to(layout.columns.device, non_blocking=True)
            keep = (torch.arange(width, device=seen.device) < seen[:, None])[:, None, None, :]
        if self.block_length is not None and attention.spans_blocks(layout, self.block_length):
            seen = torch.tensor(layout.seen).to(layout.columns.device, non_blocking=True)[:, None]
            columns = torch.atleast_2d(layout.columns)
            end = attention.ends(columns, seen, self.block_length, self._causal_context)
            before = (torch.arange(width, device=end.device) < end[:, :, None])[:, None]
            keep = before if keep is None else before & keep
        return attention.formed(keep, self.model)
