"""Attention of rows that compute different numbers of columns, and by plain matrix products where these are faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from dus.denoisers.columns import Layout

SDPA, MATMUL = "dus_sdpa", "dus_matmul"
"""Torch's own attention, and that by matrix products, both for ragged layouts too."""

RAGGED = (SDPA, MATMUL)
_SCORES = 1 << 23
"""So many scores are held at a time; queries beyond that wait for their turn."""


@dataclass(frozen=True)
class Ragged:
    """What attention has to know of a ragged layout, whose queries stand in one line, row after row.

    Attributes:
        counts: How many of the queries each row has.
        seen: How many keys of each row may be attended to, from its first on.
        masks: For each row a mask, bool `[1, 1, P, K]`, or None where every query sees all of these keys.
    """

    counts: tuple[int, ...]
    seen: tuple[int, ...]
    masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, layout: Layout, block_length: int | None, causal_context: bool = False) -> Ragged:
        """What a ragged layout comes to, with block-causal masks where a row's columns lie in several blocks."""
        masks: list[Tensor | None] = []
        columns = layout.columns.split(list(layout.counts))
        for mine, first, seen in zip(columns, layout.first, layout.seen, strict=True):
            mask = None
            if block_length is not None and (first // block_length + 1) * block_length < seen:
                end = ends(mine, seen, block_length, causal_context)
                mask = (torch.arange(seen, device=end.device) < end[:, None])[None, None]
            masks.append(mask)
        return cls(layout.counts, layout.seen, tuple(masks))


def ends(columns: Tensor, seen: Tensor | int, block_length: int, causal_context: bool) -> Tensor:
    """Int64, as `columns`: how many columns of its row, from the first on, each column attends to.

    Args:
        columns: Int64, counted from the row's first token.
        seen: How many columns the row may attend to at all; broadcasts against `columns`.
        block_length: The block length of the grid that begins at the row's first token.
        causal_context: Whether only the last block is seen whole, and what stands before it causally.
    """
    block = columns // block_length
    if causal_context:
        return torch.where(block == (seen - 1) // block_length, seen, columns + 1)
    return (block + 1) * block_length


def block_causal(positions: Tensor, keep: Tensor | None, block_length: int, causal_context: bool) -> Tensor:
    """The block-causal mask of whole rows, bool `[N, 1, L, L]`, True where a key may be seen.

    Args:
        positions: Int64 `[N or 1, L]`: the columns, counted from the row's first token.
        keep: Bool `[N, 1, 1, L]`: the keys that are no padding; None where there is none.
        block_length: The block of the grid that begins at the row's first token.
        causal_context: As for `ends`.
    """
    end = ends(positions, positions[:, -1:] + 1, block_length, causal_context)
    before = (positions[:, None, :] < end[:, :, None])[:, None]
    return before if keep is None else before & keep


def formed(keep: Tensor | None, model: PreTrainedModel) -> Tensor | None:
    """A mask of what may be seen, bool `[N, 1, P, L]`, or the numbers to add to the scores.

    Eager attention takes numbers, and on a GPU torch's own would make them of a bool mask in every layer.
    """
    kind = model.config._attn_implementation
    if keep is None or not (kind == "eager" or (kind == SDPA and keep.device.type != "cpu")):
        return keep
    never = torch.finfo(model.dtype).min if kind == "eager" else -torch.inf
    return torch.zeros_like(keep, dtype=model.dtype).masked_fill(~keep, never)


def spans_blocks(layout: Layout, block_length: int) -> bool:
    """Whether some query of a layout may not see all the columns that its row may."""
    return any(
        (first // block_length + 1) * block_length < seen for first, seen in zip(layout.first, layout.seen, strict=True)
    )


def row_by_row(attend: Any, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, ragged: Ragged) -> Tensor:
    """Attention of a ragged layout: each row's queries to the keys of that row, with nothing padded or copied.

    Args:
        attend: Attention of one row, as `one_row_sdpa`.
        module: The layer.
        query: Float `[1, H, T, D]`.
        key, value: Float `[N, G, L, D]`.
        ragged: Which of the queries and the keys belong together.

    Returns:
        Float `[1, T, H, D]`.
    """
    out, queries = [], query.split(list(ragged.counts), dim=2)
    for row, (mine, seen, mask) in enumerate(zip(queries, ragged.seen, ragged.masks, strict=True)):
        out.append(attend(module, mine, key[row : row + 1, :, :seen], value[row : row + 1, :, :seen], mask))
    return torch.cat(out, dim=1)


def by_groups(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Torch's attention where heads share keys and some are masked, which on a GPU else copies all keys and values.

    The heads of a group stand one behind the other, as more queries of the group's keys.

    Args:
        query, key, value: As for `matmul_attention`.
        mask: `[N or 1, 1, Q or 1, K]`.
        scaling: As for `matmul_attention`.

    Returns:
        Float `[N, Q, H, D]`.
    """
    rows, heads, length, width = query.shape
    group = heads // key.shape[1]
    mask = mask if mask.shape[2] == 1 else mask.repeat(1, 1, group, 1)
    packed = query.reshape(rows, key.shape[1], group * length, width)
    out = nn.functional.scaled_dot_product_attention(packed, key, value, attn_mask=mask, scale=scaling)
    return out.reshape(rows, heads, length, -1).transpose(1, 2).contiguous()


def sdpa_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    ragged: Ragged | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Torch's attention, both ways, as transformers calls it; `ragged` where the layout is."""

    kwargs["is_causal"] = False

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None and query.shape[1] > key.shape[1] and query.device.type != "cpu":
            return by_groups(query, key, value, mask, kwargs.get("scaling"))
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)[0]

    if ragged is None:
        return attend(module, query, key, value, attention_mask), None
    return row_by_row(attend, module, query, key, value, ragged), None


def matmul_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    ragged: Ragged | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Softmax attention by matrix products, both ways, as transformers calls it.

    Args:
        module: The layer, of which nothing is read.
        query: Float `[N, H, Q, D]`.
        key, value: Float `[N, G, K, D]`; G divides H, and each of the G serves H / G heads that follow each other.
        attention_mask: Bool `[N or 1, 1, Q or 1, K]`, True where a key may be seen; None is everywhere.
        scaling: What the scores are multiplied by; None is `D ** -0.5`.
        ragged: Which queries and keys belong together where the layout is ragged; None where it is rectangular.
        kwargs: Arguments that other implementations take; they are not read here.

    Returns:
        Float `[N, Q, H, D]`, and None in place of the weights.
    """
    if ragged is not None:

        def attend(*tensors: Any) -> Tensor:
            module, query, key, value, mask = tensors
            return matmul_attention(module, query, key, value, mask, scaling)[0]

        return row_by_row(attend, module, query, key, value, ragged), None
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


for _name, _function in ((SDPA, sdpa_attention), (MATMUL, matmul_attention)):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, sdpa_mask)


def choose_attention(model: PreTrainedModel) -> None:
    """Have a model that transformers gave torch's attention attend by the functions here, in place.

    By matrix products a bfloat16 model on a CPU does so where they were measured to be faster: with AVX-512's bfloat16
    instructions, unless there are AMX's too. On a GPU torch, in the whole process, is kept from attending by cuDNN,
    which makes a plan for each new shape. What a user asked for stays.
    """
    if model.config._attn_implementation != "sdpa":
        return
    if model.device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
    here: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    fast = here.get("avx512_bf16", False) and not here.get("amx_bf16", False)
    on_cpu = model.device.type == "cpu" and model.dtype is torch.bfloat16
    model.set_attn_implementation(MATMUL if fast and on_cpu else SDPA)
