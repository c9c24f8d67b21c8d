"""What can be said of a row that is not finished: text that later blocks cannot change any more."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from torch import Tensor

from dus.decoding import BlockDone, Decoded
from dus.decoding.answers import Answer, Answers
from dus.serving.rows import RowStep

NEVER = -9999.0
"""What OpenAI's interface says for the logarithm of a probability that counts as zero."""


class Said:
    """One row's answer as it comes about.

    Args:
        answers: reads the row.
        room: the most tokens of the answer.

    Attributes:
        text: what was said.
        tokens: how many tokens were told with their log-probabilities.
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
