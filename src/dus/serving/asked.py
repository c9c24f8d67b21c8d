"""From a request to rows for the engine: everything that can be wrong is found here, before anything waits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from dus.decoding import GenerationError, Settings
from dus.decoding.answers import Answers, tokenizer_of
from dus.decoding.canvas import check_fit
from dus.decoding.engine import Engine
from dus.decoding.prompts import to_rows
from dus.denoisers import Denoiser
from dus.planners import PlannerError
from dus.serving.requests import ApiError, ChatRequest, CompletionRequest, Decoding, Limits
from dus.serving.rows import Job

_COMPLETION = 16
"""Tokens of a completion that asks for no number, as with OpenAI."""
_LONGEST_AUTO = 4096
_FILE = re.compile(r"\bfile\s*=")


@dataclass(frozen=True)
class Asked:
    """A request that can be done.

    Attributes:
        jobs: The rows of the request, `n` for each prompt.
        answers: Reads them.
        room: The most tokens of an answer; what is decoded behind them is the suffix.
        prompt_tokens: The number of tokens of all prompts.
    """

    jobs: list[Job]
    answers: Answers
    room: int
    prompt_tokens: int


class Desk:
    """Takes requests for one model.

    Args:
        model: The denoiser.
        name: The name of the model, as clients call it.
        engine: An engine like the one that decodes; it checks settings.
        limits: The limits of what is taken.
        defaults: Settings where a request names none, as keyword arguments of `dus.generate`.
        capacity: Rows that may be here at once.

    Raises:
        GenerationError, PlannerError: The defaults cannot be.
    """

    def __init__(
        self,
        model: Denoiser,
        name: str,
        engine: Engine,
        limits: Limits,
        defaults: dict[str, Any] | None,
        capacity: int,
    ) -> None:
        self.model, self.name, self.engine, self.capacity = model, name, engine, capacity
        self.defaults = defaults or {}
        lengths = [length for length in (limits.length, model.max_length) if length is not None]
        self.limits = replace(limits, length=min(lengths, default=None))
        self.engine.check(Settings(**self.defaults))

    def chat(self, request: ChatRequest) -> Asked:
        """The row of a conversation.

        Raises:
            ApiError: It cannot be done as asked.
        """
        asked = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
        if request.max_tokens not in (None, asked):
            raise ApiError(400, "max_tokens and max_completion_tokens differ: give one of them", "max_tokens")
        row = self._tokens([[message.plain for message in request.messages]], "messages")[0]
        length = self.limits.length
        room = self.limits.max_tokens if length is None else min(self.limits.max_tokens, max(length - len(row), 1))
        return self._asked(request, [row], asked or room)

    def completion(self, request: CompletionRequest) -> Asked:
        """The rows of prompts, with masks and the suffix behind them where there is one.

        Raises:
            ApiError: It cannot be done as asked.
        """
        prompt, room = request.prompt, request.max_tokens or _COMPLETION
        several: list[Any] = prompt if isinstance(prompt, list) else [prompt]
        if several and isinstance(several[0], int):
            several = [several]
        several = [torch.tensor(_within(part)) if isinstance(part, list) else part for part in several]
        rows = self._tokens(several, "prompt")
        if any(bool((row == self.model.mask_token_id).any()) for row in rows):
            raise ApiError(400, "a prompt holds the mask token: what is to be filled in goes before a suffix", "prompt")
        if request.suffix is not None:
            end = self._suffix(request.suffix)
            self._fits(max(map(len, rows)) + len(end), room)  # before so many masks are made
            masks = torch.full((room,), self.model.mask_token_id)
            rows = [torch.cat([row, masks, end]) for row in rows]
        return self._asked(request, rows, room, infill=request.suffix is not None)

    def _suffix(self, text: str) -> Tensor:
        if not text:
            raise ApiError(400, "suffix is empty: leave it out", "suffix")
        try:
            ids = tokenizer_of(self.model)(text, add_special_tokens=False)["input_ids"]
        except GenerationError as error:
            raise ApiError(400, str(error), "suffix") from None
        if self.model.mask_token_id in ids:
            raise ApiError(400, "suffix contains the mask token", "suffix")
        return torch.tensor(ids, dtype=torch.long)

    def _tokens(self, prompts: list[Any], field: str) -> list[Tensor]:
        try:
            ids = any(isinstance(prompt, Tensor) for prompt in prompts)  # which no template could change
            chat = None if ids else field == "messages"
            return to_rows(self.model, prompts, chat=chat)
        except GenerationError as error:
            raise ApiError(400, str(error), field) from None
        except TemplateError as error:
            raise ApiError(400, f"the model's chat template refuses the conversation: {error}", field) from None

    def _fits(self, length: int, new: int) -> None:
        try:
            check_fit(length, new, self.limits.length)
        except GenerationError as error:
            raise ApiError(400, str(error), "max_tokens", "context_length_exceeded") from None

    def _asked(self, request: Decoding, rows: list[Tensor], room: int, *, infill: bool = False) -> Asked:
        """The request's rows as jobs."""
        if request.model != self.name:
            problem = f"there is no model {request.model[:200]!r} here: this server has {self.name!r}"
            raise ApiError(404, problem, "model", "model_not_found")
        if refused := request.refused():
            raise ApiError(400, refused[1], refused[0], "unsupported")
        count = len(rows) * (request.n or 1)
        if count > self.capacity:
            raise ApiError(400, f"{count} rows are asked for, and {self.capacity} may be here at once", "n")
        longest = max(map(len, rows))
        self._fits(longest - room if infill else longest, room)
        settings = self._settings(request, 0 if infill else room, longest + room)
        streamed = bool(request.stream)
        watched = streamed and (bool(request.stream_steps) or request.scores)
        group = object()
        jobs = [
            Job(row, settings, draw=draw, watched=watched, streamed=streamed, group=group)
            for draw, row in enumerate(row for row in rows for _ in range(request.n or 1))
        ]
        given = sum(len(row) - (room if infill else 0) for row in rows)
        return Asked(jobs, Answers(self.model, settings), room, given)

    def _settings(self, request: Decoding, new: int, length: int) -> Settings:
        names = ("temperature", "top_p", "top_k", "seed", "cfg_scale", "stop", "suppress_tokens", "eos")
        given = {name: getattr(request, name) for name in (*names, "planner", "block_length")}
        given = {name: value for name, value in given.items() if value is not None}
        if "planner" in given and _FILE.search(given["planner"]) and given["planner"] != self.defaults.get("planner"):
            raise ApiError(400, "a request's planner may not read a file: the server's --planner may", "planner")
        try:
            settings = Settings(
                **{**self.defaults, **given},
                max_new_tokens=new,
                scores=request.scores or bool(request.stream_steps),
            )
            if settings.auto is not None and settings.longest > _LONGEST_AUTO:
                raise GenerationError(f"block_length chooses up to {settings.longest}, at most {_LONGEST_AUTO} is done")
            if settings.auto is None and settings.longest > length:  # as long as the row, or longer, is the same
                settings = replace(settings, block_length=length)
            self.engine.check(settings)
        except (GenerationError, PlannerError) as error:
            raise ApiError(400, str(error), "planner" if isinstance(error, PlannerError) else _field(error)) from None
        return settings


def _within(ids: list[int]) -> list[int]:
    """Token ids, some, that an int64 can hold."""
    if not ids:
        raise ApiError(400, "a prompt is empty: give at least one token", "prompt")
    if any(not -(2**63) <= number < 2**63 for number in ids):
        raise ApiError(400, "token ids have to fit in 64 bits", "prompt")
    return ids


def _field(error: Exception) -> str | None:
    """The field that a sentence of the engine's begins with."""
    word = str(error).split(" ", 1)[0]
    return word if word in Decoding.model_fields else None
