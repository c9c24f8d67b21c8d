"""Texts with blanks in them, as rows of token ids to be filled in."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dus.decoding.answers import tokenizer_of
from dus.decoding.settings import GenerationError, GenerationWarning
from dus.denoisers import Denoiser

BLANK = "[MASK]"


@dataclass(frozen=True)
class Blanks:
    """A text with blanks.

    Attributes:
        row: The tokens of the text, an int64 1-D tensor in which masks stand for the blanks.
        first, last: The numbers of tokens that the tokenizer put before and behind the text.
    """

    row: Tensor
    first: int
    last: int


def to_blanks(model: Denoiser, text: Any) -> Blanks:
    """The tokens of a text in which `[MASK]`, or the tokenizer's own mask token, stands for one token each.

    A space before a blank belongs to the token before it, where the tokenizer has one that ends so. Where it does not,
    and begins its words with their space instead, a word in the blank would have two of them, which a warning says.

    Raises:
        GenerationError: It is no text, it holds no blank, or the denoiser has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    if not isinstance(text, str):
        raise GenerationError(f"infill takes a text or a list of texts, not a {type(text).__name__}")
    own = tokenizer.convert_ids_to_tokens(model.mask_token_id) or BLANK
    *before, last = text.replace(BLANK, own).split(own)
    if not before:
        raise GenerationError(f"there is nothing to fill in: write {BLANK} (or {own}) for each token that is wanted")
    row: list[int] = []
    for number, part in enumerate(before):
        row += [*_before_blank(tokenizer, part, own if number else ""), model.mask_token_id]
    row += _ids(tokenizer, last, own)
    first, end = _around(tokenizer, "".join([*before, last]) or "a")
    first = first if row[: len(first)] != first else []
    end = end if row[len(row) - len(end) :] != end else []
    return Blanks(torch.tensor([*first, *row, *end]), len(first), len(end))


def _ids(tokenizer: Any, text: str, behind: str = "") -> list[int]:
    """The tokens of a text; of one that stands behind a mask, which for some tokenizers is no beginning of a word."""
    ids: list[int] = tokenizer(behind + text, add_special_tokens=False)["input_ids"] if text else []
    if not (text and behind):
        return ids
    mask: list[int] = tokenizer(behind, add_special_tokens=False)["input_ids"]
    return ids[1:] if len(mask) == 1 and ids[:1] == mask else _ids(tokenizer, text)


def _before_blank(tokenizer: Any, part: str, behind: str) -> list[int]:
    """The tokens of what stands before a blank, and behind another one or nothing."""
    plain = _ids(tokenizer, part, behind)
    if not part[-1:].isspace():
        return plain
    said = tokenizer.decode(plain)
    to_number, to_word = (_ids(tokenizer, part + letter, behind)[:-1] for letter in "1a")
    if to_number != plain and tokenizer.decode(to_number) == said:
        return to_number
    if tokenizer.decode(to_word) != said:
        warnings.warn(
            f"a space stands before a {BLANK}, and this tokenizer's words begin with their space: leave it out where "
            f"a word is wanted, as in {(part.rstrip() + BLANK)[-24:]!r}",
            GenerationWarning,
            stacklevel=5,
        )
    return plain


def _around(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before a text and behind it."""
    whole: list[int] = tokenizer(text)["input_ids"]
    bare = _ids(tokenizer, text)
    first = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), 0)
    return whole[:first], whole[first + len(bare) :]
