"""From whatever a user calls a prompt to rows of token ids."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dus.decoding.answers import check_denoiser, tokenizer_of
from dus.decoding.blanks import BLANK
from dus.decoding.settings import GenerationError, GenerationWarning
from dus.denoisers import Denoiser

Message: TypeAlias = dict[str, Any]
Prompts: TypeAlias = (
    str | list[str] | list[Message] | list[list[Message]] | list[int] | Tensor | list[Tensor] | Mapping[str, Any]
)


def to_rows(model: Denoiser, prompts: Prompts, *, chat: bool | None = None, attention_mask: Any = None) -> list[Tensor]:
    """Token rows, int64 1-D, one a prompt.

    Args:
        model: The denoiser, whose tokenizer reads texts and messages.
        prompts: A string, a list of strings, chat messages (dictionaries with `role` and `content`), a list of such
            conversations, a token tensor `[N, L]` or `[L]`, a list of ids, a list of 1-D tensors, or what a tokenizer
            of transformers returns, `input_ids` and their `attention_mask`. A conversation whose last turn is the
            assistant's is continued within that turn.
        chat: Whether strings are put into the chat template as a user's turn; None does so if there is a template.
        attention_mask: The mask of padded token ids, 0 where padding stands, at either end.

    Raises:
        DenoiserError: The model is no denoiser.
        GenerationError: A prompt is empty, a text contains the mask token, ids are outside the vocabulary or padded
            without a mask, chat messages are not all text or are refused by the chat template, or a tokenizer or a
            chat template is missing.
    """
    check_denoiser(model)
    prompts, attention_mask = taken_apart(prompts, attention_mask)
    several = _several(prompts)
    masks = masks_of(attention_mask, len(several))
    each = enumerate(zip(several, masks, strict=True))
    rows = [_row(model, prompt, number, chat, mask) for number, (prompt, mask) in each]
    _warn_of_blanks(several)
    _warn_of_idle(several, chat)
    return rows


def _several(prompts: Any) -> list[Any]:
    """The prompts one by one."""
    if isinstance(prompts, str) or _is_conversation(prompts) or is_row(prompts):
        return [prompts]
    if not isinstance(prompts, Iterable) or isinstance(prompts, Mapping):
        raise GenerationError(
            f"prompts are a string, a list of strings, chat messages or token ids, not a {type(prompts).__name__}"
        )
    several = list(prompts)
    if not several:
        raise GenerationError("there are no prompts: the list is empty")
    return several


def _warn_of_blanks(prompts: list[Any]) -> None:
    """Say of a text with blanks in it that they are letters here."""
    for number, prompt in enumerate(prompts):
        turns = prompt if _is_conversation(prompt) else [prompt]
        texts = [turn.get("content") if isinstance(turn, Mapping) else turn for turn in turns]
        if any(isinstance(text, str) and BLANK in text for text in texts):
            warnings.warn(
                f"prompt {number} holds {BLANK}, which generate reads as letters: to have it filled in, use infill",
                GenerationWarning,
                stacklevel=5,
            )
            return


def _warn_of_idle(prompts: list[Any], chat: bool | None) -> None:
    """Say where no prompt is one that `chat` changes."""
    if chat and not any(isinstance(prompt, str) or _is_conversation(prompt) for prompt in prompts):
        idle = "token ids: it is about texts"
    elif chat is False and all(map(_is_conversation, prompts)):
        idle = "chat messages, which stand in the chat template in any case"
    else:
        return
    warnings.warn(f"chat={chat} has no effect on {idle}", GenerationWarning, stacklevel=5)


def _is_conversation(prompt: Any) -> bool:
    return isinstance(prompt, list) and len(prompt) > 0 and isinstance(prompt[0], dict)


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _row(model: Denoiser, prompt: Any, number: int, chat: bool | None, mask: Any) -> Tensor:
    conversation = _is_conversation(prompt)
    if not conversation and not isinstance(prompt, str):
        return _checked_ids(model, prompt, number, mask)
    tokenizer = tokenizer_of(model)
    if mask is not None:
        kind = "chat messages" if conversation else "a text"
        raise GenerationError(f"attention_mask goes with token ids, and prompt {number} is {kind}: leave it out")
    if not prompt:
        raise GenerationError(
            f"prompt {number} is empty: to generate without a prompt, give token ids and none of them, "
            "torch.zeros(1, 0, dtype=torch.long)"
        )
    templated = getattr(tokenizer, "chat_template", None) is not None
    if conversation or chat or (chat is None and templated):
        if not templated:
            raise GenerationError("the model's tokenizer has no chat template: give plain text and chat=False")
        messages = prompt if conversation else [{"role": "user", "content": prompt}]
        ids = tokenizer(_conversation(tokenizer, messages, number), add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(prompt)["input_ids"]
    if model.mask_token_id in ids:
        raise GenerationError(f"prompt {number} contains the mask token: dus.infill(model, text) fills masks in a text")
    return torch.tensor(ids, dtype=torch.long)


def _conversation(tokenizer: Any, messages: list[Message], number: int) -> str:
    """Chat messages in the template, up to where the assistant goes on.

    Raises:
        GenerationError: They are no messages, or the template refuses them, as some do with a system's turn.
    """
    from jinja2 import TemplateError

    if not all(map(_is_message, messages)):
        raise GenerationError(f"prompt {number}: chat messages are dictionaries whose role and content are strings")
    if messages[-1] == {**messages[-1], "role": "assistant", "content": ""}:
        messages = messages[:-1]  # a turn that is opened, and nothing said in it
    begun = bool(messages) and messages[-1]["role"] == "assistant"
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
        )
    except (TemplateError, ValueError, TypeError) as error:
        roles = ", ".join(message["role"] for message in messages)
        said = " ".join(str(error).split())
        problem = f"prompt {number}: the model's chat template refuses a conversation of {roles}: {said}"
        raise GenerationError(problem) from None
    return text


def _checked_ids(model: Denoiser, prompt: Any, number: int, mask: Any) -> Tensor:
    try:
        ids = torch.as_tensor(prompt)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind = type(prompt).__name__
        raise GenerationError(f"prompt {number} is a {kind} and no text, chat messages or token ids") from None
    if ids.dim() != 1 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GenerationError(
            f"prompt {number} has shape {list(ids.shape)} and type {ids.dtype}: token ids are a 1-D integer tensor"
        )
    ids = unpadded(model, ids, mask, number)
    size = max(model.vocab_size, model.mask_token_id + 1)
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise GenerationError(f"prompt {number} holds token ids outside the vocabulary, 0 to {size - 1}")
    return ids.long()


def taken_apart(prompts: Any, attention_mask: Any) -> tuple[Any, Any]:
    """Ids and attention mask of what a tokenizer of transformers gives; anything else as it is.

    Raises:
        GenerationError: There are two masks.
    """
    if not isinstance(prompts, Mapping) or "input_ids" not in prompts:
        return prompts, attention_mask
    if "attention_mask" in prompts:
        if attention_mask is not None:
            raise GenerationError("the prompts hold an attention_mask of their own: leave out the argument")
        attention_mask = prompts["attention_mask"]
    return prompts["input_ids"], attention_mask


def masks_of(attention_mask: Any, count: int) -> list[Any]:
    """The attention mask of each of so many prompts; None where there is none.

    Raises:
        GenerationError: It is for another number of prompts.
    """
    if attention_mask is None:
        return [None] * count
    if not isinstance(attention_mask, Iterable):
        raise GenerationError(
            f"attention_mask is a {type(attention_mask).__name__}, but has to be rows of zeros and ones"
        )
    masks = [attention_mask] if is_row(attention_mask) else list(attention_mask)
    if len(masks) != count:
        raise GenerationError(f"attention_mask has {len(masks)} rows, where there are {count} prompts")
    return masks


def is_row(ids: Any) -> bool:
    """Whether something is one row of token ids, and not several: a list of numbers, or an array of one dimension."""
    if isinstance(ids, list | tuple):
        return len(ids) > 0 and all(isinstance(number, Integral) for number in ids)
    return getattr(ids, "ndim", None) == 1


def unpadded(model: Denoiser, ids: Tensor, mask: Any, number: int) -> Tensor:
    """A prompt's ids, `[L]`, without the padding that stands at its ends.

    Args:
        model: The denoiser, whose tokenizer knows the pad token.
        ids: The ids of the prompt, a tensor of whole numbers.
        mask: The attention mask of the prompt, 0 where padding stands; None if there is none.
        number: The place of the prompt in the list, for messages.

    Raises:
        GenerationError: The mask does not fit the row, keeps nothing, or leaves out something between tokens; or there
            is no mask, and the row begins or ends with several pad tokens.
    """
    if mask is None:
        _refuse_padding(model, ids, number)
        return ids
    try:
        real = torch.as_tensor(mask, device=ids.device)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise GenerationError(f"attention_mask of prompt {number} is no row of zeros and ones") from None
    if real.shape != ids.shape or not bool(((real == 0) | (real == 1)).all()):
        raise GenerationError(
            f"attention_mask of prompt {number} has shape {list(real.shape)}, but has to hold a 0 or a 1 for each of "
            f"its {len(ids)} tokens"
        )
    kept = real.nonzero()[:, 0].tolist()
    if not kept:
        raise GenerationError(f"prompt {number} is nothing but padding: its attention_mask holds no 1")
    if kept[-1] - kept[0] >= len(kept):
        raise GenerationError(f"attention_mask of prompt {number} is 0 between tokens: padding stands at the ends")
    return ids[kept[0] : kept[-1] + 1]


def _refuse_padding(model: Denoiser, ids: Tensor, number: int) -> None:
    pad = getattr(model.tokenizer, "pad_token_id", None)
    if pad is None or pad == model.mask_token_id or len(ids) < 2:
        return
    for ids_so, begins in ((ids, "begins"), (ids.flip(0), "ends")):
        other = (ids_so != pad).nonzero()
        count = int(other[0]) if len(other) else len(ids)
        if count > 1:
            raise GenerationError(
                f"prompt {number} {begins} with {count} pad tokens ({pad}), which would count as its text: give its "
                "attention_mask too, or all that the tokenizer gave"
            )
