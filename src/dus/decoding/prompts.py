"""From whatever a user calls a prompt to rows of token ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dus.decoding.answers import tokenizer_of
from dus.decoding.settings import GenerationError
from dus.denoisers import Denoiser

Message: TypeAlias = dict[str, Any]
Prompts: TypeAlias = str | list[str] | list[Message] | list[list[Message]] | Tensor | list[Tensor]

BLANK = "[MASK]"


def to_rows(model: Denoiser, prompts: Prompts, *, chat: bool | None = None) -> list[Tensor]:
    """Token rows, int64 1-D, one a prompt.

    Args:
        model: a denoiser; texts and messages need its tokenizer.
        prompts: a string, a list of strings, chat messages (dictionaries with `role` and `content`), a list of such
            conversations, a token tensor `[N, L]` or `[L]`, or a list of 1-D tensors.
        chat: whether strings are a user's turn in the chat template; None where the tokenizer has a template.

    Raises:
        GenerationError: on an empty prompt, on a text that contains the mask token, on ids outside the vocabulary,
            on chat messages that are not all text, or where a tokenizer or a chat template is missing.
    """
    several: list[Any]
    if isinstance(prompts, str) or _is_conversation(prompts):
        several = [prompts]
    elif isinstance(prompts, Iterable) and not isinstance(prompts, Mapping):
        several = list(torch.atleast_2d(prompts)) if isinstance(prompts, Tensor) else list(prompts)
    else:
        raise GenerationError(
            f"prompts are a string, a list of strings, chat messages or token ids, not a {type(prompts).__name__}"
        )
    if not several:
        raise GenerationError("there are no prompts: the list is empty")
    return [_row(model, prompt, number, chat) for number, prompt in enumerate(several)]


def blanks_to_row(model: Denoiser, text: str) -> Tensor:
    """The token row of a text in which `[MASK]`, or the tokenizer's own mask token, stands for one token each.

    Raises:
        GenerationError: where the text holds no mask, or the denoiser has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    own = tokenizer.convert_ids_to_tokens(model.mask_token_id) or BLANK
    parts = text.replace(BLANK, own).split(own)
    if len(parts) == 1:
        raise GenerationError(f"there is nothing to fill in: write {BLANK} (or {own}) for each token that is wanted")
    row: list[int] = []
    for number, part in enumerate(parts):
        row += [model.mask_token_id] if number else []
        row += tokenizer(part, add_special_tokens=False)["input_ids"] if part else []
    return torch.tensor(row)


def _is_conversation(prompt: Any) -> bool:
    return isinstance(prompt, list) and len(prompt) > 0 and isinstance(prompt[0], dict)


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _row(model: Denoiser, prompt: Any, number: int, chat: bool | None) -> Tensor:
    conversation = _is_conversation(prompt)
    if not conversation and not isinstance(prompt, str):
        try:
            ids = torch.as_tensor(prompt)
        except (TypeError, ValueError, RuntimeError):
            kind = type(prompt).__name__
            raise GenerationError(f"prompt {number} is a {kind} and no text, chat messages or token ids") from None
        return _checked_ids(model, ids, number)
    tokenizer = tokenizer_of(model)
    if not prompt:
        raise GenerationError(f"prompt {number} is empty")
    templated = getattr(tokenizer, "chat_template", None) is not None
    if conversation or chat or (chat is None and templated):
        if not templated:
            raise GenerationError("the model's tokenizer has no chat template: give plain text and chat=False")
        messages = prompt if conversation else [{"role": "user", "content": prompt}]
        if not all(map(_is_message, messages)):
            raise GenerationError(f"prompt {number}: chat messages are dictionaries whose role and content are strings")
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(prompt)["input_ids"]
    if model.mask_token_id in ids:
        raise GenerationError(f"prompt {number} contains the mask token: dus.infill(model, text) fills masks in a text")
    return torch.tensor(ids)


def _checked_ids(model: Denoiser, ids: Tensor, number: int) -> Tensor:
    if ids.dim() != 1 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise GenerationError(
            f"prompt {number} has shape {list(ids.shape)} and type {ids.dtype}: token ids are a 1-D integer tensor"
        )
    size = max(model.vocab_size, model.mask_token_id + 1)
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise GenerationError(f"prompt {number} holds token ids outside the vocabulary, 0 to {size - 1}")
    return ids.long()
