"""Answers in OpenAI's shape, and what can be said of a row that is not finished."""

from __future__ import annotations

import math
import time
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from dus.decoding import BlockDone, Decoded
from dus.decoding.answers import Answer, Answers
from dus.serving.asked import Asked
from dus.serving.requests import ChatRequest, Decoding
from dus.serving.rows import RowStep, Told

NEVER = -9999.0
"""What OpenAI's interface says for the logarithm of a probability that counts as zero."""


class Said:
    """One row's answer as it comes about.

    Args:
        answers: Reads the row.
        room: The most tokens of the answer.

    Attributes:
        text: What was said.
        tokens: How many tokens were told with their log-probabilities.
    """

    def __init__(self, answers: Answers, room: int) -> None:
        self.answers, self.room = answers, room
        self.text, self.tokens = "", 0
        self.confidence = [0.0] * room

    def see(self, step: RowStep) -> None:
        """Remember how sure the tokens were that a step wrote."""
        for position, confidence in zip(step.positions, step.confidence, strict=True):
            if position < self.room:
                self.confidence[position] = confidence

    def block(self, done: BlockDone) -> tuple[str, Tensor]:
        """The text that a finished block adds, and those of its tokens, int64 1-D, that are said by it."""
        tokens = done.tokens[: self.room]
        text = self._stable(self.answers.text(tokens))
        if not text.startswith(self.text):  # a tokenizer that rewrites what it said before: it waits for the end
            return "", tokens[:0]
        new, self.text = text[len(self.text) :], text
        reached = range(len(tokens) + 1)
        whole = bisect_right(reached, len(text), key=lambda count: len(self.answers.text(tokens[:count]))) - 1
        said = tokens[self.tokens : whole]
        self.tokens = max(self.tokens, whole)
        return new, said

    def end(self, answer: Answer) -> tuple[str, Tensor]:
        """The rest of the text, and of the tokens."""
        said = answer.tokens[self.tokens :]
        new, self.text, self.tokens = answer.text[len(self.text) :], answer.text, len(answer.tokens)
        return new, said

    def _stable(self, text: str) -> str:
        """The beginning of a text that stays: not the half of a character or of a stop string, nor a last space."""
        text = text.rstrip("\ufffd")
        most = max((len(stop) for stop in self.answers.stops), default=1) - 1
        for size in range(min(most, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self.answers.stops):
                text = text[:-size]
                break
        return text.rstrip()


def answer_of(answers: Answers, row: Decoded, room: int) -> Answer:
    """What a finished row says in the first `room` positions."""
    cut = Decoded(
        row=row.row,
        tokens=row.tokens[:room],
        masked=row.masked[:room],
        step=row.step[:room],
        confidence=row.confidence[:room],
        entropy=row.entropy[:room],
        steps=row.steps,
        ends=row.ends,
    )
    return answers.answer(cut)


def log_probabilities(confidence: Sequence[float]) -> list[float]:
    """The natural logarithms of probabilities."""
    return [math.log(value) if value > 0 else NEVER for value in confidence]


class Reply:
    """The answer to one request.

    Args:
        request: What was asked.
        asked: The rows of the request.
    """

    def __init__(self, request: Decoding, asked: Asked) -> None:
        self.request, self.asked = request, asked
        self.settings = asked.answers.settings
        self.tokenizer = asked.answers.tokenizer
        self.chat = isinstance(request, ChatRequest)
        self.said = [Said(asked.answers, asked.room) for _ in asked.jobs]
        self.offsets = [0 for _ in asked.jobs]
        self.totals = {"nfe": 0, "completion_tokens": 0, "useful": 0}
        kind = "chatcmpl" if self.chat else "cmpl"
        self.head = {"id": f"{kind}-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.model}

    def whole(self, rows: Sequence[Decoded]) -> dict[str, Any]:
        """The body of an answer that is not streamed.

        Args:
            rows: The finished rows, in the order of the request.
        """
        choices = []
        for index, row in enumerate(rows):
            answer = self._count(row)
            found = self._logprobs(index, answer.tokens, row.confidence.tolist()) if self.request.scores else None
            said = {"message": {"role": "assistant", "content": answer.text}} if self.chat else {"text": answer.text}
            choices.append({"index": index, **said, "logprobs": found, "finish_reason": answer.reason})
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.head, "object": kind, "choices": choices, "usage": self.usage, "seed": self.settings.seed}

    def chunks(self, index: int, told: Told) -> Iterator[dict[str, Any]]:
        """The chunks of a stream that tell what happened to a row."""
        said = self.said[index]
        if isinstance(told, RowStep):
            said.see(told)
            if self.request.stream_steps:
                yield self._chunk(index, "", None) | {"step": self._step(told)}
        elif isinstance(told, BlockDone):
            text, tokens = said.block(told)
            if text or len(tokens):
                yield self._chunk(index, text, None, tokens)
        elif isinstance(told, Decoded):
            answer = self._count(told)
            text, tokens = said.end(answer)
            if self.request.scores:
                said.confidence = told.confidence.tolist()
            if text or len(tokens):
                yield self._chunk(index, text, None, tokens)
            last = self._chunk(index, "", answer.reason)
            yield last | {"trace": self._trace(told)} if self.request.stream_steps else last

    def opening(self) -> Iterator[dict[str, Any]]:
        """The chunks that begin a stream."""
        if self.chat:
            for index in range(len(self.asked.jobs)):
                choice = {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
                yield self._around([{**choice, "logprobs": None}])

    def closing(self) -> Iterator[dict[str, Any]]:
        """The chunk that tells the usage, where it is asked for."""
        options = self.request.stream_options
        if options is not None and options.include_usage:
            yield {**self._around([]), "usage": self.usage}

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens and denoiser calls so far, of all rows together."""
        given, written, calls = self.asked.prompt_tokens, self.totals["completion_tokens"], self.totals["nfe"]
        return {
            "prompt_tokens": given,
            "completion_tokens": written,
            "total_tokens": given + written,
            "nfe": calls,
            "tpf": self.totals["useful"] / max(calls, 1),
        }

    def _count(self, row: Decoded) -> Answer:
        """The answer of a finished row, which counts from now on."""
        answer = answer_of(self.asked.answers, row, self.asked.room)
        self.totals["nfe"] += row.steps * (1 if self.settings.cfg_scale == 0 else 2)
        self.totals["completion_tokens"] += len(answer.tokens)
        self.totals["useful"] += answer.useful
        return answer

    def _chunk(self, index: int, text: str, reason: str | None, tokens: Tensor | None = None) -> dict[str, Any]:
        """A chunk of a stream."""
        found = None
        if self.request.scores and tokens is not None and len(tokens):
            said = self.said[index]
            first = said.tokens - len(tokens)
            found = self._logprobs(index, tokens, said.confidence[first : said.tokens])
        said_now = {"delta": {"content": text} if text else {}} if self.chat else {"text": text}
        return self._around([{"index": index, **said_now, "logprobs": found, "finish_reason": reason}])

    def _around(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        usage = {"usage": None} if self.request.stream_options is not None else {}
        return {**self.head, "object": kind, "choices": choices, **usage}

    def _logprobs(self, index: int, tokens: Tensor, confidence: Sequence[float]) -> dict[str, Any]:
        """What OpenAI calls the log-probabilities of some tokens."""
        texts = [self._text(token) for token in tokens.tolist()]
        scores = log_probabilities(confidence[: len(texts)])
        if self.chat:
            return {
                "content": [
                    {
                        "token": text,
                        "logprob": score,
                        "bytes": None if "\ufffd" in text else list(text.encode()),
                        "top_logprobs": [],
                    }
                    for text, score in zip(texts, scores, strict=True)
                ],
                "refusal": None,
            }
        offsets = []
        for text in texts:
            offsets.append(self.offsets[index])
            self.offsets[index] += len(text)
        return {"tokens": texts, "token_logprobs": scores, "top_logprobs": None, "text_offset": offsets}

    def _step(self, step: RowStep) -> dict[str, Any]:
        """A denoiser call as the page reads it."""
        return {
            "number": step.number,
            "start": step.start,
            "length": step.length,
            "positions": step.positions,
            "tokens": step.tokens,
            "texts": [self._text(token) for token in step.tokens],
            "confidence": step.confidence,
            "remasked": step.remasked,
        }

    def _trace(self, row: Decoded) -> dict[str, Any]:
        """A finished row as the page reads it: each position's token, step, confidence and entropy in bits."""
        return {
            "tokens": row.tokens.tolist(),
            "texts": [self._text(token) for token in row.tokens.tolist()],
            "step": row.step.tolist(),
            "confidence": row.confidence.tolist(),
            "entropy": row.entropy.tolist(),
            "blocks": row.ends,
            "nfe": row.steps * (1 if self.settings.cfg_scale == 0 else 2),
        }

    def _text(self, token: int) -> str:
        return _text_of(self.tokenizer, token)


@lru_cache(maxsize=200_000)
def _text_of(tokenizer: Any, token: int) -> str:
    text: str = tokenizer.decode([token]) if tokenizer is not None else str(token)
    return text
