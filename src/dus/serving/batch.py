"""Many prompts through one engine: rows are let in as places come free, and come out as they are done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError

from dus.decoding import Decoded, Failed, GenerationError, Settings
from dus.decoding.answers import Answers
from dus.decoding.canvas import check_fit
from dus.decoding.engine import Engine
from dus.decoding.planning import named
from dus.decoding.prompts import to_rows
from dus.denoisers import MaskedLM
from dus.serving.rows import Job, Rows
from dus.serving.source import Asked


@dataclass(eq=False)
class _Open:
    """A prompt on its way, and the answers that are there."""

    asked: Asked
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    problem: str = ""


class Batch:
    """Decodes prompts under one set of settings.

    Args:
        model: The denoiser, with a tokenizer.
        settings: How to decode.
        rows: How many are decoded together.
        samples: Answers to each prompt.
        chat: Whether texts are put in the chat template; None where the model has one.

    Raises:
        GenerationError, PlannerError: No row can be decoded so.
    """

    def __init__(
        self, model: MaskedLM, settings: Settings, rows: int = 64, samples: int = 1, chat: bool | None = None
    ) -> None:
        self.model, self.settings, self.samples, self.chat = model, settings, samples, chat
        Engine(model, 1, settings.cache).check(settings)
        self.rows = Rows(model, rows, settings.cache)
        self.answers = Answers(model, settings)

    def records(self, prompts: Iterable[Asked]) -> Iterator[tuple[Asked, dict[str, Any]]]:
        """Each prompt with its record for the output, as they are done.

        A prompt that cannot be read or decoded has its problem as `error` in place of `answers`.
        """
        waiting = self._jobs(prompts)
        more = True
        while more or len(self.rows):
            while more and self.rows.room:
                job = next(waiting, None)
                more = job is not None
                if isinstance(job, Asked):
                    yield job, _record(job, {"error": job.problem})
                elif job is not None:
                    self.rows.add(job)
            for job, told in self.rows.turn():
                opened = job.group
                assert isinstance(opened, _Open)
                if isinstance(told, Failed):
                    opened.problem = opened.problem or str(told.error)
                    opened.answers[job.draw] = {}
                elif isinstance(told, Decoded):
                    opened.answers[job.draw] = self._answer(told)
                if len(opened.answers) == self.samples:
                    yield opened.asked, self._closed(opened)

    def _jobs(self, prompts: Iterable[Asked]) -> Iterator[Job | Asked]:
        """The rows of each prompt; or a prompt that has none, with its problem."""
        for asked in prompts:
            try:
                if asked.content is None:
                    raise GenerationError(asked.problem)
                (row,) = to_rows(self.model, [asked.content], chat=self.chat)  # type: ignore[arg-type]
                check_fit(len(row), self.settings.max_new_tokens, self.model.max_length)
            except (GenerationError, TemplateError) as error:
                yield Asked(asked.index, asked.place, asked.content, str(error).replace("prompt 0", "the prompt"))
                continue
            opened = _Open(asked)
            for sample in range(self.samples):
                yield Job(row, self.settings, draw=asked.index * self.samples + sample, group=opened)

    def _closed(self, opened: _Open) -> dict[str, Any]:
        if opened.problem:
            return _record(opened.asked, {"error": opened.problem})
        settings = {
            "planner": named(self.settings.rule),
            "block_length": self.model.block_length or self.settings.longest,
            "seed": self.settings.seed,
        }
        return _record(opened.asked, {"answers": [opened.answers[draw] for draw in sorted(opened.answers)], **settings})

    def _answer(self, row: Decoded) -> dict[str, Any]:
        """One answer; `step` tells for each token the step that wrote it, from 0."""
        answer = self.answers.answer(row)
        calls = row.steps * (1 if self.settings.cfg_scale == 0 else 2)
        return {
            "text": answer.text,
            "nfe": calls,
            "tpf": answer.useful / max(calls, 1),
            "raw_tpf": int(row.masked.sum()) / max(calls, 1),
            "tokens": answer.tokens.tolist(),
            "step": row.step[: len(answer.tokens)].tolist(),
        }


def _record(asked: Asked, found: dict[str, Any]) -> dict[str, Any]:
    return {**asked.place, "prompt": asked.content, **found}
