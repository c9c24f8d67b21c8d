"""Token ids that others have padded to one length: their rows without the padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from dus.decoding.settings import GenerationError
from dus.denoisers import Denoiser


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
