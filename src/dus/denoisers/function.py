"""Any function on token ids as a denoiser."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from dus.denoisers.base import Denoiser, DenoiserError, KeyValueCache, Read
from dus.denoisers.columns import take, without_padding


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
        self.device = torch.device(device)
        parameters = inspect.signature(getattr(fn, "forward", fn)).parameters.values()
        self._takes_mask = any(p.name == "attention_mask" or p.kind is p.VAR_KEYWORD for p in parameters)

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
            DenoiserError: the function's answer is not `[N, L, V]`, or a cache is given.
        """
        if cache is not None:
            raise DenoiserError("A function takes no key and value cache; use cache='none'.")
        if attention_mask is None or self._takes_mask:
            return take(self._full(canvas, attention_mask), read)
        return without_padding(self._full, canvas, attention_mask, read)

    def _full(self, canvas: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Float `[N, L, V]`: the function's answer, checked."""
        logits = self.fn(canvas, attention_mask=attention_mask) if self._takes_mask else self.fn(canvas)
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
    device: torch.device | str = "cpu",
) -> FunctionDenoiser:
    """Make a denoiser of a function.

    Args:
        fn: takes the canvas, int64 `[N, L]`, and returns float logits `[N, L, V]`, row i for the token at i. If it
            has a parameter `attention_mask`, it is passed `[N, L]`, zero at padding, or None; if it has none, it is
            called on rows without their padding.
        mask_token_id: the id that stands for "not written yet".
        vocab_size: V.
        tokenizer: a transformers tokenizer, for prompts and answers in text.
        eos_token_ids: tokens that end a text.
        max_length: the longest canvas that `fn` can take; None is any.
        device: where `fn` wants its canvas.

    Raises:
        DenoiserError: the mask token is not in the vocabulary.
    """
    return FunctionDenoiser(
        fn,
        mask_token_id=mask_token_id,
        vocab_size=vocab_size,
        tokenizer=tokenizer,
        eos_token_ids=eos_token_ids,
        max_length=max_length,
        device=device,
    )
