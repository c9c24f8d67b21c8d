"""One call of `generate`: its rows through an engine, finished rows into a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dus.decoding.answers import Answers
from dus.decoding.canvas import check_fit
from dus.decoding.engine import Engine, cache_mode
from dus.decoding.memory import is_out_of_memory, places, too_long, warn
from dus.decoding.planning import named
from dus.decoding.settings import GenerationError, Settings, is_whole
from dus.decoding.trace import Decoded, Failed, Generation, Step, Trace
from dus.denoisers import Denoiser

_MOST = 10_000_000
"""Rows that anybody may mean."""

Progress = bool | Callable[[Step], None]


class Run:
    """The rows of one call of `generate`, and what comes of them.

    Args:
        model: The denoiser.
        prompts: Int64 1-D tensors, which may hold masks.
        settings: The settings that all rows are decoded by.
        batch_size: The most rows that are decoded together; None sets no limit but memory.
        samples: The number of rows for each prompt.
        first_row: The number of the first row; random draws depend on the number.
        numbers: The numbers of all rows, no two of them equal, in place of a count from `first_row`.

    Attributes:
        places: The index of each row, by its number.
        decoded: The rows that are done.

    Raises:
        GenerationError: The batch size or the samples are no number of rows, a setting names a token that there is not,
            or a prompt has nothing to generate or is too long.
    """

    def __init__(
        self,
        model: Denoiser,
        prompts: list[Tensor],
        settings: Settings,
        batch_size: int | None = None,
        samples: int = 1,
        first_row: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> None:
        counts = (("samples", samples, 1), ("batch_size", 1 if batch_size is None else batch_size, 1))
        for name, value, least in (*counts, ("first_row", first_row, 0)):
            if not is_whole(value) or not least <= value <= _MOST:
                raise GenerationError(
                    f"{name} is {value!r}, but has to be a whole number, at least {least} and at most {_MOST:,}"
                )
        self.model = model
        self.settings = replace(settings, cache=cache_mode(model, settings.cache))
        self.answers = Answers(model, self.settings)
        self.rows = [prompt for prompt in prompts for _ in range(samples)]
        self.numbers = range(first_row, first_row + len(self.rows)) if numbers is None else numbers
        self.places = {number: place for place, number in enumerate(self.numbers)}
        self.batch_size = len(self.rows) if batch_size is None else batch_size
        self.decoded: list[Decoded] = []
        self.left = sorted(range(len(self.rows)), key=lambda row: len(self.rows[row]))
        for number, prompt in enumerate(prompts):
            if settings.max_new_tokens == 0 and not (prompt == model.mask_token_id).any():
                raise GenerationError(
                    f"there is nothing to generate: max_new_tokens is 0 and prompt {number} holds no mask"
                )
            try:
                check_fit(len(prompt), settings.max_new_tokens, model.max_length)
            except GenerationError as error:
                raise GenerationError(f"prompt {number}: {error}") from None
        Engine(model, 1, self.settings.cache).check(self.settings)

    @property
    def lengths(self) -> dict[int, int]:
        """The length, with all its masks, of each row that is not done."""
        return {row: len(self.rows[row]) + self.settings.max_new_tokens for row in self.left}

    def _engine(self, *, watch: bool) -> Engine:
        """An engine with the rows that are not done in it, the shortest first."""
        count = places(self.model, self.settings, self.lengths, self.batch_size)
        engine = Engine(self.model, count, self.settings.cache, watch=watch)
        for row in self.left:
            engine.submit(self.rows[row], self.settings, draw=self.numbers[row])
        return engine

    def steps(self, *, watch: bool = True) -> Iterator[Step | None]:
        """Decode all rows; after each denoiser call the step, or None where it is not watched.

        An engine that runs out of memory is halved: its rows that are not done start again, and so do their steps.
        """
        while self.left:
            engine, order = self._engine(watch=watch), list(self.left)
            try:
                while len(engine):
                    for event in engine.step():
                        if isinstance(event, Failed):
                            raise event.error
                        if isinstance(event, Decoded):
                            self.left.remove(order[event.row])
                            self.decoded.append(replace(event, row=self.numbers[order[event.row]]))
                        elif isinstance(event, Step):
                            yield replace(event, rows=[self.numbers[order[row]] for row in event.rows])
                    if not watch:
                        yield None
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(engine.places)
            del engine  # and its keys and values, before it is asked how much memory is free

    def _halve(self, count: int) -> None:
        """Go on with half as many rows at once, because these did not fit.

        Raises:
            GenerationError: It was one row alone.
        """
        if count == 1:
            raise too_long(self.lengths, "does not fit in the device's memory")
        self.batch_size = count // 2
        warn(
            f"{count} rows do not fit in the device's memory together: those that are not done start again, "
            f"{self.batch_size} at a time"
        )

    def watched(self, progress: Progress) -> Run:
        """Go through all steps, with a progress bar or a function that sees each of them.

        Raises:
            GenerationError: The progress is neither a function nor yes or no.
        """
        if not (isinstance(progress, bool) or callable(progress)):
            raise GenerationError(f"progress is {progress!r}, but has to be True, False or a function")
        if progress is True:
            self._with_bar()
            return self
        for step in self.steps(watch=callable(progress)):
            if callable(progress) and step is not None:
                progress(step)
        return self

    def result(self, *, whole: Sequence[tuple[int, int]] | None = None) -> Generation:
        """The answers, in the order of the rows.

        Args:
            whole: None gives answers. Otherwise tokens and text are those of the whole row, including what was given,
                and for each row this says how many of its first and last tokens are left out of the text.
        """
        decoded = sorted(self.decoded, key=lambda row: self.places[row.row])
        if whole is None:
            answers = [self._answer(row) for row in decoded]
        else:
            answers = [self._whole(row, *around) for row, around in zip(decoded, whole, strict=True)]
        calls = 1 if self.settings.cfg_scale == 0 else 2
        return Generation(
            tokens=[tokens for tokens, _, _ in answers],
            text=None if self.model.tokenizer is None else [text for _, text, _ in answers],
            nfe=[row.steps * calls for row in decoded],
            written=[int(row.masked.sum()) for row in decoded],
            useful=[useful for _, _, useful in answers],
            trace=Trace(
                step=[row.step for row in decoded],
                confidence=[row.confidence for row in decoded if self.settings.scores],
                entropy=[row.entropy for row in decoded if self.settings.scores],
                block_length=self.model.block_length or self.settings.longest,
                planner=named(self.settings.rule),
                blocks=[row.ends for row in decoded],
            ),
            seed=self.settings.seed or 0,
            tokenizer=self.model.tokenizer,
        )

    def _answer(self, row: Decoded) -> tuple[Tensor, str, int]:
        """The tokens and the text of an answer, and how many of its tokens were written before it ended."""
        answer = self.answers.answer(row)
        return answer.tokens, answer.text, answer.useful

    def _whole(self, row: Decoded, first: int, last: int) -> tuple[Tensor, str, int]:
        """The tokens and the text of a whole row, and how many of its tokens were written."""
        given = self.rows[self.places[row.row]]
        before = len(given) + self.settings.max_new_tokens - len(row.tokens)
        tokens = torch.cat([given[:before].cpu(), row.tokens])
        text = self.answers.text(tokens[first : len(tokens) - last], skip_special_tokens=False)
        return tokens, text, int(row.masked.sum())

    def _with_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        masks = sum(int((row == self.model.mask_token_id).sum()) + self.settings.max_new_tokens for row in self.rows)
        columns = ("tokens", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("tokens", total=masks)
            for step in self.steps():
                if step is not None:
                    bar.advance(task, int(step.unmasked.sum() - step.remasked.sum()))
