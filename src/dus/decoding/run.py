"""One generation: rows into batches, batches through the loop, finished rows into a result."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from dus.decoding.batches import Batches
from dus.decoding.canvas import check_fit, lay_out
from dus.decoding.loop import Decoded, Decoding, Step
from dus.decoding.memory import is_out_of_memory
from dus.decoding.settings import GenerationError, Settings
from dus.decoding.trace import Generation, Trace
from dus.denoisers import Denoiser
from dus.planners import Planner, PlannerError

Progress = bool | Callable[[Step], None]


class Run:
    """The rows of one call of `generate`, and what comes of them.

    Args:
        model: the denoiser.
        prompts: int64 1-D tensors, masks in them or not.
        settings: how to decode.
        batch_size: rows decoded together at most, those of similar length; None is no bound but memory.
        samples: rows for each prompt.
        first_row: the number of the first row, from which draws count.

    Raises:
        GenerationError: where the batch size or the samples are no number of rows, a token that a setting names is
            unknown, or a prompt has nothing to generate or is too long.
    """

    def __init__(
        self,
        model: Denoiser,
        prompts: list[Tensor],
        settings: Settings,
        batch_size: int | None = None,
        samples: int = 1,
        first_row: int = 0,
    ) -> None:
        for name, value in (("samples", samples), ("batch_size", 1 if batch_size is None else batch_size)):
            if not isinstance(value, Integral) or value < 1:
                raise GenerationError(f"{name} is {value!r}, but has to be a whole number, at least 1")
        self.model, self.settings, self.first_row = model, settings, first_row
        self.rows = [prompt for prompt in prompts for _ in range(samples)]
        self.batch_size = len(self.rows) if batch_size is None else batch_size
        self.ends = torch.tensor(getattr(model, "eos_token_ids", ()), dtype=torch.long)
        self.tokenizer: Any = getattr(model, "tokenizer", None)
        self.decoded: list[Decoded] = []
        if settings.stops and self.tokenizer is None:
            raise GenerationError("stop strings need a tokenizer, and the model has none")
        self._check_tokens()
        for number, prompt in enumerate(prompts):
            if settings.max_new_tokens == 0 and not (prompt == model.mask_token_id).any():
                raise GenerationError(
                    f"there is nothing to generate: max_new_tokens is 0 and prompt {number} holds no mask"
                )
            try:
                check_fit(len(prompt), settings.max_new_tokens, getattr(model, "max_length", None))
            except GenerationError as error:
                raise GenerationError(f"prompt {number}: {error}") from None

    def _check_tokens(self) -> None:
        size = self.model.vocab_size
        for name in ("suppress_tokens", "defer_tokens"):
            for token in getattr(self.settings, name) or []:
                if not 0 <= token < size:
                    raise GenerationError(f"{name} holds {token}, which is outside the vocabulary, 0 to {size - 1}")
        never = {self.model.mask_token_id, *(self.settings.suppress_tokens or [])}
        if sum(token < size for token in never) == size:
            raise GenerationError("suppress_tokens leaves no token that may be written")

    def steps(self) -> Iterator[Step]:
        """Decode all batches, yielding after each denoiser call.

        A batch that runs out of memory is halved: its rows that are not done start again, and so do their steps.
        """
        lengths = [len(row) + self.settings.max_new_tokens for row in self.rows]
        batches = Batches(self.model, self.settings, lengths, self.batch_size)
        while chosen := batches.following():
            decoding = self._decoding(chosen)
            try:
                yield from decoding.steps()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                batches.halve(chosen)
            self.decoded += decoding.finished
            batches.finished(row.row - self.first_row for row in decoding.finished)
            del decoding  # and its cache, before it is asked how much memory is free

    def _decoding(self, chosen: list[int]) -> Decoding:
        """Some of the rows, by index, on one canvas."""
        canvas = lay_out(
            [self.rows[row] for row in chosen],
            mask_token_id=self.model.mask_token_id,
            max_new_tokens=self.settings.max_new_tokens,
            context=getattr(self.model, "max_length", None),
            device=getattr(self.model, "device", "cpu"),
        )
        numbers = [self.first_row + row for row in chosen]
        return Decoding(self.model, canvas, numbers, self.settings, self._stopped)

    def watched(self, progress: Progress) -> Run:
        """Go through all steps, with a progress bar or a function that sees each of them."""
        if progress is True:
            self._with_bar()
            return self
        for step in self.steps():
            if callable(progress):
                progress(step)
        return self

    def result(self, *, whole: bool = False) -> Generation:
        """The answers, in the order of the rows.

        Args:
            whole: whether tokens and text are those of the whole row, what was given included.
        """
        decoded = sorted(self.decoded, key=lambda row: row.row)
        answers = [self._whole(row) if whole else self._answer(row) for row in decoded]
        calls = 1 if self.settings.cfg_scale == 0 else 2
        return Generation(
            tokens=[tokens for tokens, _, _ in answers],
            text=None if self.tokenizer is None else [text for _, text, _ in answers],
            nfe=[row.steps * calls for row in decoded],
            written=[int(row.masked.sum()) for row in decoded],
            useful=[useful for _, _, useful in answers],
            trace=Trace(
                step=[row.step for row in decoded],
                confidence=[row.confidence for row in decoded if self.settings.scores],
                entropy=[row.entropy for row in decoded if self.settings.scores],
                block_length=self.settings.block_length,
                planner=_named(self.settings.rule),
                blocks=[row.ends for row in decoded],
            ),
            seed=self.settings.seed or 0,
        )

    def _answer(self, row: Decoded) -> tuple[Tensor, str, int]:
        """The tokens and the text of an answer, and how many of its tokens were written before it ended."""
        ends = (row.masked & torch.isin(row.tokens, self.ends)).nonzero()
        end = int(ends[0]) if len(ends) else len(row.tokens)
        tokens = row.tokens[:end] if self.settings.eos == "stop" else row.tokens
        text = self._text(tokens)
        found = [at for at in (text.find(stop) for stop in self.settings.stops) if at >= 0]
        if found:
            cut = min(found)
            length = bisect_left(range(len(tokens)), True, key=lambda last: len(self._text(tokens[: last + 1])) > cut)
            tokens, text, end = tokens[:length], text[:cut], min(end, length)
        return tokens, text, int(row.masked[:end].sum())

    def _whole(self, row: Decoded) -> tuple[Tensor, str, int]:
        """The tokens and the text of a whole row, and how many of its tokens were written."""
        given = self.rows[row.row - self.first_row]
        before = len(given) + self.settings.max_new_tokens - len(row.tokens)
        tokens = torch.cat([given[:before].cpu(), row.tokens])
        return tokens, self._text(tokens, skip_special_tokens=False), int(row.masked.sum())

    def _text(self, tokens: Tensor, *, skip_special_tokens: bool = True) -> str:
        if self.tokenizer is None:
            return ""
        return self.tokenizer.decode(tokens.tolist(), skip_special_tokens=skip_special_tokens)

    def _stopped(self, tokens: Tensor, masked: Tensor) -> bool:
        """Whether a row may end that holds these tokens, those at `masked` generated."""
        if self.settings.eos == "stop" and bool(torch.isin(tokens[masked], self.ends).any()):
            return True
        text = self._text(tokens) if self.settings.stops else ""
        return any(stop in text for stop in self.settings.stops)

    def _with_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        masks = sum(int((row == self.model.mask_token_id).sum()) + self.settings.max_new_tokens for row in self.rows)
        columns = ("tokens", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("tokens", total=masks)
            for step in self.steps():
                bar.advance(task, int(step.unmasked.sum() - step.remasked.sum()))


def _named(planner: Planner) -> str:
    """The planner's text; its repr where it is a class of the user's own that was never registered."""
    try:
        return str(planner)
    except PlannerError:
        return repr(planner)
