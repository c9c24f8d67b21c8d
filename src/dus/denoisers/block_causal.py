"""What a block-causal model is when transformers, diffusers or a trainer calls it: it makes its own mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dus.denoisers import attention
from dus.denoisers.base import DenoiserError
from dus.denoisers.columns import first_real


class BlockCausalLM:
    """Goes before transformers' class and gives its `forward` the block-causal mask of the configuration.

    The grid begins at each row's first token that is no padding. A mask of four dimensions stays as it is, and so does
    everything where the configuration's `block_length` is None: then attention goes both ways.
    """

    causal_context = False

    def forward(
        self: Any,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As transformers' class; `attention_mask` may be `[N, L]`, nonzero at what is no padding, or be left out.

        Raises:
            DenoiserError: There is a cache but no mask of four dimensions, or the attention implementation takes none.
        """
        block_length = self.config.block_length
        if block_length is not None and (attention_mask is None or attention_mask.dim() == 2):
            name = type(self).__name__
            if past_key_values is not None:
                raise DenoiserError(f"{name} with past_key_values needs an attention_mask [N, 1, P, L].")
            if "flash" in (kind := str(self.config._attn_implementation)) or "flex" in kind:
                raise DenoiserError(f"{kind} takes no block-causal mask: load with attn_implementation='sdpa'.")
            given: Any = inputs_embeds if input_ids is None else input_ids
            first = 0 if attention_mask is None else first_real(attention_mask)
            columns = torch.arange(given.shape[1], device=given.device)
            positions = torch.atleast_2d((columns - first).clamp_min(0))
            keep = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
            keep = attention.block_causal(positions, keep, block_length, self.causal_context)
            attention_mask = attention.formed(keep.expand(len(given), -1, -1, -1), self)
            position_ids = positions if position_ids is None else position_ids
        return super().forward(  # type: ignore[misc]
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            **kwargs,
        )
