"""Transformers models as denoisers: logits at the positions that are read, and nowhere else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dus.denoisers import attention
from dus.denoisers.base import DenoiserError, KeyValueCache
from dus.denoisers.gather import first_real, index_in, take, without_padding

# For checkpoints that do not name their mask token, by model_type.
MASK_TOKEN_IDS = {
    "llada": 126336,
    "Dream": 151666,
    "lladamoe": 156895,
    "llada2_moe": 156895,
    "sdar": 151669,
}
# What ends a text or a turn, beside the end token that a checkpoint declares.
END_TOKENS = ("<|endoftext|>", "<|eot_id|>", "<|im_end|>")


class MaskedLM:
    """Any transformers model whose logits row i predicts token i, as a `Denoiser`.

    All its logits are computed, and those at `read` are kept. Rows with different padding go through the model
    one kind after the other, without it: not every model's code honours an attention mask, and positions would
    have to be shifted in a different way for each.

    Args:
        model: a transformers model.
        tokenizer: its tokenizer, or None.
        mask_token_id: where neither the configuration nor the tokenizer names it.

    Attributes:
        model, tokenizer: as given.
        mask_token_id, vocab_size: as in `Denoiser`.
        eos_token_ids: every token that ends a text or a turn, ascending.
        max_length: the longest canvas, in tokens; None if the configuration does not say.
        shift: by how many positions a token's logits row precedes it inside the model; 1 for Dream, else 0.

    Raises:
        DenoiserError: no mask token is known, or it is not in the vocabulary.
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, mask_token_id: int | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.shift: int = getattr(model, "shift", 0)
        self.vocab_size: int = model.config.vocab_size
        self.max_length = _max_length(model)
        self.mask_token_id = _mask_token_id(model.config, tokenizer, mask_token_id)
        self.eos_token_ids = _eos_token_ids(model, tokenizer)

    @property
    def device(self) -> torch.device:
        """The device that canvases belong on."""
        return self.model.device

    @property
    def body(self) -> nn.Module:
        """The module that makes most of a forward: here the whole model."""
        return self.model

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the model, and of its logits."""
        return self.model.dtype

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """Roughly what a row of a length takes: the bytes that stay between calls, and those of a forward in passing.

        A layer's activations make room for the next one's. Here the logits of all positions come on top.
        """
        return 0, length * (_activation(self.model.config) + self.vocab_size) * self.dtype.itemsize

    @torch.no_grad()
    def logits(
        self,
        canvas: Tensor,
        *,
        read: Tensor,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`, in the model's dtype; see `Denoiser.logits`.

        Raises:
            DenoiserError: a cache is given, or the model returns no logits.
        """
        if cache is not None:
            raise DenoiserError(f"{type(self.model).__name__} takes no key and value cache; use cache='none'.")
        if attention_mask is not None:
            return without_padding(self._full, canvas, attention_mask, read)
        return take(self._full(canvas), read)

    def _full(self, canvas: Tensor) -> Tensor:
        """Float `[N, L, V]`: the model's own logits."""
        logits = getattr(self.model(input_ids=canvas), "logits", None)
        if not isinstance(logits, Tensor) or logits.shape[:2] != canvas.shape:
            raise DenoiserError(f"{type(self.model).__name__} returns no logits row for each token: no masked LM.")
        return logits


class Checkpoint(MaskedLM):
    """A model of a family known here, LLaDA or Dream, as a `Denoiser`.

    The body runs once, on the whole canvas or on what a cache leaves to compute, and only the hidden rows that
    are read go through the vocabulary projection. Padding is masked, and position ids start after it.
    """

    @property
    def body(self) -> nn.Module:
        """All but the vocabulary projection."""
        return self.model.model

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """As for any masked LM, but keys and values of all layers stay where they are cached, and few logits come."""
        config = self.model.config
        head = config.hidden_size // config.num_attention_heads
        states = 2 * config.num_hidden_layers * config.num_key_value_heads * head if cached else 0
        return length * states * self.dtype.itemsize, length * _activation(config) * self.dtype.itemsize

    @torch.no_grad()
    def logits(
        self,
        canvas: Tensor,
        *,
        read: Tensor,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`, in the model's dtype; see `Denoiser.logits`.

        Raises:
            DenoiserError: a cache is given, and the attention implementation cannot attend to more than it computes.
            IndexError: a position is read that `cache.positions` lacks (on a GPU: a device-side assertion).
        """
        if cache is not None:
            self._check_attention(padded=attention_mask is not None)
        first = None if attention_mask is None else first_real(attention_mask)
        columns = torch.arange(canvas.shape[1], device=canvas.device) if cache is None else cache.positions
        # What fills a cache is not compiled: what CUDA graphs give is theirs, and gone at the next call.
        body = self.body if cache is None or cache.is_initialized else self.body.forward
        hidden = body(
            input_ids=canvas if cache is None else take(canvas, columns),
            position_ids=torch.atleast_2d(columns if first is None else (columns - first).clamp_min(0)),
            attention_mask=self._key_mask(attention_mask),
            past_key_values=cache,
            use_cache=False,
        ).last_hidden_state
        rows = self._rows(read, first)
        if cache is not None:
            rows = index_in(columns, rows, canvas.shape[1])
        return self.model.lm_head(take(hidden, rows))

    def _check_attention(self, *, padded: bool) -> None:
        """Flex attention has masks of its own; flash attention cuts a mask of the whole width to what is computed."""
        kind = str(self.model.config._attn_implementation)
        if "flex" in kind or ("flash" in kind and padded):
            beside = " for prompts of different lengths" if "flash" in kind else ""
            raise DenoiserError(f"{kind} takes no cache{beside}: load with attn_implementation='sdpa'.")

    def _rows(self, read: Tensor, first: Tensor | None) -> Tensor:
        """The canvas columns whose hidden rows predict the tokens at `read`; the first token is its own row's."""
        if self.shift == 0:
            return read
        rows = read - self.shift
        return rows.clamp_min(0) if first is None else rows.maximum(first)

    def _key_mask(self, attention_mask: Tensor | None) -> Tensor | None:
        """`attention_mask` in the form that the attention implementation takes.

        Given the `[N, L]` one, transformers makes it too, but waits for the device to see whether anything is
        masked, and writes `[N, 1, P, L]` where `[N, 1, 1, L]` does.
        """
        kind = self.model.config._attn_implementation
        if attention_mask is None or kind not in ("sdpa", "eager", attention.NAME):
            return attention_mask
        keep = attention_mask.bool()[:, None, None, :]
        if kind != "eager":
            return keep
        return torch.zeros_like(keep, dtype=self.dtype).masked_fill(~keep, torch.finfo(self.dtype).min)


def _activation(config: Any) -> int:
    """Numbers that a transformer's layer holds for a token at its widest point, which is in its mlp."""
    width: int = config.hidden_size
    inner: int = getattr(config, "intermediate_size", None) or 4 * width
    return 5 * width + 4 * inner


def _max_length(model: Any) -> int | None:
    """The positions that a model has, without those that RoBERTa and its like keep for padding; None if unknown."""
    positions: int | None = getattr(model.config, "max_position_embeddings", None)
    kept = getattr(getattr(getattr(model, "base_model", None), "embeddings", None), "padding_idx", None)
    return positions if positions is None or kept is None else positions - kept - 1


def _mask_token_id(config: Any, tokenizer: Any, given: int | None) -> int:
    """The first of: what the caller gave, the configuration's, the tokenizer's, the family's own."""
    sources = (
        given,
        getattr(config, "mask_token_id", None),
        getattr(tokenizer, "mask_token_id", None),
        MASK_TOKEN_IDS.get(config.model_type),
    )
    mask_token_id = next((token for token in sources if token is not None), None)
    if mask_token_id is None:
        raise DenoiserError("The checkpoint does not say which token is its mask: pass mask_token_id=….")
    if not 0 <= mask_token_id < config.vocab_size:
        raise DenoiserError(
            f"The mask token {mask_token_id} is not in the vocabulary of {config.vocab_size}: pass mask_token_id=…."
        )
    return mask_token_id


def _eos_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """End tokens of the configuration, the generation configuration and the tokenizer, and its ends of turn."""
    found: set[int] = set()
    for source in (model.config, getattr(model, "generation_config", None), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        found.update([ids] if isinstance(ids, int) else ids or [])
    added = getattr(tokenizer, "added_tokens_encoder", {})
    found.update(added[token] for token in END_TOKENS if token in added)
    return tuple(sorted(token for token in found if 0 <= token < model.config.vocab_size))
