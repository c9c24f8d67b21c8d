"""Attention by plain matrix products: on some processors faster in bfloat16 than torch's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

NAME = "matmul"
_SCORES = 1 << 23
"""So many scores are held at a time; queries beyond that wait for their turn."""


def matmul_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Softmax attention, both ways, as transformers calls it.

    Args:
        module: the layer, of which nothing is read.
        query: float `[N, H, Q, D]`.
        key, value: float `[N, G, K, D]`; G divides H, and each of the G serves H / G heads that follow each other.
        attention_mask: bool `[N or 1, 1, Q or 1, K]`, True where a key may be seen; None is everywhere.
        scaling: of the scores; None is `D ** -0.5`.
        kwargs: of other implementations.

    Returns:
        Float `[N, Q, H, D]`, and None in place of the weights.
    """
    rows, heads, length, width = query.shape
    query = query * (width**-0.5 if scaling is None else scaling)
    keys, out = key.transpose(2, 3), []
    for start in range(0, length, step := max(1, _SCORES // (rows * heads * key.shape[2]))):
        part = query[:, :, start : start + step].reshape(rows, key.shape[1], -1, width)
        scores = torch.matmul(part, keys).view(rows, heads, -1, key.shape[2])
        if attention_mask is not None:
            seen = attention_mask if attention_mask.shape[2] == 1 else attention_mask[:, :, start : start + step]
            scores = scores.masked_fill(~seen, float("-inf"))
        weights = torch.softmax(scores, dim=-1).view(rows, key.shape[1], -1, key.shape[2])
        out.append(torch.matmul(weights, value).view(rows, heads, -1, width))
    whole = out[0] if len(out) == 1 else torch.cat(out, dim=2)
    return whole.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, matmul_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def choose_attention(model: PreTrainedModel) -> None:
    """Have a bfloat16 model on a CPU attend by matrix products where they were measured to be faster, in place.

    That is with AVX-512's bfloat16 instructions, unless there are AMX's too; and only where transformers chose torch's
    `scaled_dot_product_attention`.
    """
    here: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    fast = here.get("avx512_bf16", False) and not here.get("amx_bf16", False)
    on_cpu = model.device.type == "cpu" and model.dtype is torch.bfloat16
    if fast and on_cpu and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)
