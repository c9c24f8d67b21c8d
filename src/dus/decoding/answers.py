"""When a row has ended, and what of it is the answer."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dus.decoding.settings import GenerationError, Settings
from dus.decoding.trace import Decoded
from dus.denoisers import Denoiser, DenoiserError


@dataclass(frozen=True)
class Answer:
    """What a finished row says.

    Attributes:
        tokens: An int64 1-D tensor on the host, up to the end of the answer.
        text: The same as a string; empty if the denoiser has no tokenizer.
        useful: The number of tokens that were written and stand before the end.
        reason: `stop` if an end token or a stop string ended it, `length` if there was no room left.
    """

    tokens: Tensor
    text: str
    useful: int
    reason: str


class Answers:
    """Reads rows that are decoded by some settings.

    A stop string that is a token of its own, as a special token is, is found as a token: such tokens leave no trace
    in a text.

    Args:
        model: The denoiser, whose tokenizer reads the tokens.
        settings: The settings that the rows are decoded by.

    Raises:
        GenerationError: There are stop strings, but no tokenizer to find them with.
    """

    def __init__(self, model: Denoiser, settings: Settings) -> None:
        self.settings, self.tokenizer = settings, model.tokenizer
        if settings.stops and self.tokenizer is None:
            raise GenerationError("stop strings need a tokenizer, and the model has none")
        known: dict[str, int] = getattr(self.tokenizer, "added_tokens_encoder", {}) if settings.stops else {}
        self.stops = [stop for stop in settings.stops if stop not in known]
        marks = [known[stop] for stop in settings.stops if stop in known]
        self.ends = torch.tensor([*model.eos_token_ids] * (settings.eos == "stop") + marks, dtype=torch.long)
        self.counted = torch.tensor([*model.eos_token_ids, *marks], dtype=torch.long)

    def stopped(self, tokens: Tensor, masked: Tensor) -> bool:
        """Whether a row may end that holds these tokens, int64 `[G]`, those at `masked` generated."""
        if len(self.ends) and bool(torch.isin(tokens[masked], self.ends).any()):
            return True
        if not self.stops:
            return False
        text = self.text(tokens)
        return any(stop in text for stop in self.stops)

    def answer(self, row: Decoded) -> Answer:
        """The tokens and the text of a finished row, up to its first end token or stop string."""
        end = self._first(row, self.counted)
        stop = self._first(row, self.ends)
        tokens = row.tokens[:stop]
        text = self.text(tokens)
        reason = "stop" if stop < len(row.tokens) else "length"
        found = [at for at in (text.find(mark) for mark in self.stops) if at >= 0]
        if found:
            cut, reason = min(found), "stop"
            length = bisect_left(range(len(tokens)), True, key=lambda last: len(self.text(tokens[: last + 1])) > cut)
            tokens, text, end = tokens[:length], text[:cut], min(end, length)
        return Answer(tokens, text, int(row.masked[:end].sum()), reason)

    def text(self, tokens: Tensor, *, skip_special_tokens: bool = True) -> str:
        """Tokens as text; empty where there is no tokenizer."""
        if self.tokenizer is None:
            return ""
        said: str = self.tokenizer.decode(tokens.tolist(), skip_special_tokens=skip_special_tokens)
        return said

    @staticmethod
    def _first(row: Decoded, ends: Tensor) -> int:
        """Where the first of some tokens was generated; the row's length where none was."""
        found = (row.masked & torch.isin(row.tokens, ends)).nonzero()
        return int(found[0]) if len(found) else len(row.tokens)


def check_denoiser(model: object) -> None:
    """Raise `DenoiserError` where something is no denoiser."""
    if not isinstance(model, Denoiser):
        raise DenoiserError(
            f"{type(model).__name__} is no denoiser: make one with dus.load or dus.denoisers.from_callable, or "
            "derive it from dus.Denoiser"
        )


def tokenizer_of(model: Denoiser) -> Any:
    """The denoiser's tokenizer.

    Raises:
        GenerationError: It has none.
    """
    if model.tokenizer is None:
        raise GenerationError("the model has no tokenizer: give token ids, an integer tensor [N, L]")
    return model.tokenizer
