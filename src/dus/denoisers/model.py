"""Transformers models as denoisers: logits at the positions that are read, and nowhere else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dus.denoisers.base import Denoiser, DenoiserError, KeyValueCache, Read
from dus.denoisers.columns import first_real, predicting, take, without_padding
from dus.denoisers.known import MASK_TOKEN_IDS, SHIFTED

# What ends a text or a turn, beside the end token that a checkpoint declares.
END_TOKENS = ("<|endoftext|>", "<|eot_id|>", "<|im_end|>")


class MaskedLM(Denoiser):
    """Any transformers model whose logits row i predicts token i, or token i + 1, as a `Denoiser`.

    All its logits are computed, and those at `read` are kept. Rows with different padding go through the model
    one kind after the other, without it: not every model's code honours an attention mask, and positions would
    have to be shifted in a different way for each.

    Args:
        model: A transformers model, or a PEFT model around one, whose adapters stay where they are.
        tokenizer: The tokenizer of the model, or None.
        mask_token_id: The id of the mask token, where neither the configuration nor the tokenizer names it.
        shift: How many positions before a token the row stands that predicts it: 0, or 1 as in Dream. None is what the
            model's class or its family says, else 0.

    Attributes:
        model: What was given; of a PEFT model the transformers model, with the adapters in its layers.
        tokenizer: What was given.
        mask_token_id: The same as in `Denoiser`.
        vocab_size: The same as in `Denoiser`.
        eos_token_ids: Every token that ends a text or a turn, ascending.
        max_length: The longest canvas, in tokens; None if the configuration does not say.
        shift: By how many positions a token's logits row precedes it inside the model; `logits` hides it.

    Raises:
        DenoiserError: No mask token is known, or it is not in the vocabulary; or a PEFT model adapts its input; or
            `shift` is no such number.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, mask_token_id: int | None = None, shift: int | None = None
    ) -> None:
        self.model = model = _inside(model)
        self.tokenizer = tokenizer
        self.shift = check_shift(_own_shift(model) if shift is None else shift)
        self.vocab_size: int = model.config.vocab_size
        self.max_length = _max_length(model)
        self.mask_token_id = _mask_token_id(model.config, tokenizer, mask_token_id)
        self.eos_token_ids = _eos_token_ids(model, tokenizer)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The device that canvases belong on: where the model has several, the one that its forward begins on."""
        placed = getattr(getattr(self.model, "_hf_hook", None), "execution_device", None)
        return self.model.device if placed is None else torch.device(placed)

    @property
    def body(self) -> nn.Module:
        """The module that makes most of a forward: here the whole model."""
        return self.model

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """The floating type of the model, and of its logits."""
        return self.model.dtype

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """Roughly what a row of a length takes: the bytes that stay between calls, and those of a forward in passing.

        A layer's activations make room for the next one's. Here the logits of all positions come on top.
        """
        return 0, length * (activation_width(self.model) + self.vocab_size) * self.dtype.itemsize

    @torch.no_grad()
    def logits(
        self,
        canvas: Tensor,
        *,
        read: Read,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`, in the model's dtype; see `Denoiser.logits`.

        Raises:
            DenoiserError: A cache is given, or the model returns no logits.
        """
        if cache is not None:
            raise DenoiserError(f"{type(self.model).__name__} takes no key and value cache; use cache='none'.")
        if attention_mask is not None:
            before = predicting(read, self.shift, first_real(attention_mask))
            return without_padding(self._full, canvas, attention_mask, before)
        return take(self._full(canvas), predicting(read, self.shift))

    def _full(self, canvas: Tensor) -> Tensor:
        """Float `[N, L, V]`: the model's own logits."""
        logits = getattr(self.model(input_ids=canvas), "logits", None)
        if not isinstance(logits, Tensor) or logits.shape[:2] != canvas.shape:
            raise DenoiserError(f"{type(self.model).__name__} returns no logits row for each token: no masked LM.")
        return logits


def check_shift(shift: int) -> int:
    """The shift, if it is one.

    Raises:
        DenoiserError: It is neither 0 nor 1.
    """
    if shift not in (0, 1):
        raise DenoiserError(f"shift is {shift!r}: 0 where row i predicts token i, 1 where it predicts token i + 1.")
    return int(shift)


def _own_shift(model: Any) -> int:
    told = getattr(model, "shift", None)
    return int(model.config.model_type in SHIFTED) if told is None else told


def _inside(model: Any) -> Any:
    """The transformers model, out of a PEFT model around it."""
    if not hasattr(model, "get_base_model"):
        return model
    if model.active_peft_config.is_prompt_learning:
        kind = model.active_peft_config.peft_type.value
        raise DenoiserError(f"{kind} adapts a model's input and not its layers, which is not supported: LoRA is.")
    return model.get_base_model()


def activation_width(model: Any) -> int:
    """Numbers that a transformer's layer holds for a token at its widest point, which is in its mlp.

    A configuration that names no `hidden_size` leaves it to the matrices, whose smaller side is at most that.
    """
    width: int | None = getattr(model.config, "hidden_size", None)
    if width is None:
        width = max((min(weight.shape) for weight in model.parameters() if weight.dim() == 2), default=0)
    inner: int = getattr(model.config, "intermediate_size", None) or 4 * width
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
    if not isinstance(mask_token_id, int) or not 0 <= mask_token_id < config.vocab_size:
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
    return tuple(sorted(token for token in found if isinstance(token, int) and 0 <= token < model.config.vocab_size))
