"""Any function on token ids as a denoiser."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from dus.denoisers.base import Denoiser, DenoiserError, KeyValueCache, Read
from dus.denoisers.columns import first_real, predicting, take, without_padding
from dus.denoisers.model import check_shift


class FunctionDenoiser(Denoiser):
    """A function on token ids as a `Denoiser`; made by `from_callable`, which describes it."""

    def __init__(
        self,
        fn: Callable[..., Tensor],
        *,
        mask_token_id: int,
        vocab_size: int,
        tokenizer: Any = None,
        eos_token_ids: Iterable[int] = (),
        max_length: int | None = None,
        shift: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0 <= mask_token_id < vocab_size:
            raise DenoiserError(f"The mask token {mask_token_id} is not in the vocabulary of {vocab_size}.")
        self.fn = fn
        self.mask_token_id = mask_token_id
        self.vocab_size = vocab_size
        self.tokenizer = tokenizer
        self.eos_token_ids = tuple(eos_token_ids)
        self.max_length = max_length
        self.shift = check_shift(shift)
        self.device = torch.device(device)
        parameters = inspect.signature(getattr(fn, "forward", fn)).parameters.values()
        self._takes_mask = any(p.name == "attention_mask" or p.kind is p.VAR_KEYWORD for p in parameters)
        self._takes_positions = any(p.name == "position_ids" for p in parameters)

    def logits(
        self,
        canvas: Tensor,
        *,
        read: Read,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`; see `Denoiser.logits`.

        Raises:
            DenoiserError: The function's answer is not `[N, L, V]`, or a cache is given.
        """
        if cache is not None:
            raise DenoiserError("A function takes no key and value cache; use cache='none'.")
        if attention_mask is None:
            return take(self._full(canvas), predicting(read, self.shift))
        first = first_real(attention_mask)
        read = predicting(read, self.shift, first)
        if self._takes_mask and (self._takes_positions or not bool(first.any())):
            return take(self._full(canvas, attention_mask.long(), first), read)
        return without_padding(self._full, canvas, attention_mask, read)

    def _full(self, canvas: Tensor, attention_mask: Tensor | None = None, first: Tensor | int = 0) -> Tensor:
        """Float `[N, L, V]`: the function's answer, checked."""
        told: dict[str, Tensor | None] = {"attention_mask": attention_mask} if self._takes_mask else {}
        if self._takes_positions:
            columns = torch.arange(canvas.shape[1], device=canvas.device)
            told["position_ids"] = (columns - first).clamp_min(0).expand(canvas.shape)
        logits = self.fn(canvas, **told)
        expected = (*canvas.shape, self.vocab_size)
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if got != expected:
            raise DenoiserError(f"The function must return logits of shape {expected}, not {got}.")
        return logits


def from_callable(
    fn: Callable[..., Tensor],
    *,
    mask_token_id: int,
    vocab_size: int,
    tokenizer: Any = None,
    eos_token_ids: Iterable[int] = (),
    max_length: int | None = None,
    shift: int = 0,
    device: torch.device | str = "cpu",
) -> FunctionDenoiser:
    """Make a denoiser of a function.

    Args:
        fn: Takes the canvas, int64 `[N, L]`, and returns float logits `[N, L, V]`. A parameter `attention_mask` gets
            int64 `[N, L]`, zero at padding, or None; a parameter `position_ids` int64 `[N, L]`, which count from a
            row's first token on. A function without the first is called on rows without their padding, and so is one
            without the second where padding comes first.
        mask_token_id: The id that stands for "not written yet".
        vocab_size: V.
        tokenizer: A transformers tokenizer, for prompts and answers in text.
        eos_token_ids: Tokens that end a text.
        max_length: The longest canvas that `fn` can take; None is any.
        shift: How many positions before a token the row stands that predicts it: 0, or 1 as in Dream, whose first
            token is predicted by its own row.
        device: The device that `fn` wants its canvas on.

    Raises:
        DenoiserError: The mask token is not in the vocabulary, or `shift` is neither 0 nor 1.
    """
    return FunctionDenoiser(
        fn,
        mask_token_id=mask_token_id,
        vocab_size=vocab_size,
        tokenizer=tokenizer,
        eos_token_ids=eos_token_ids,
        max_length=max_length,
        shift=shift,
        device=device,
    )
