"""What analysis reads: the answers of one planner at one block length, each with its trace, as plain numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.spacing import AnalysisError

DIGITS = 4


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer of `G` positions, which count from the row's first masked one.

    Attributes:
        prompt: What was asked.
        pieces: For each position the text that its token adds; empty for what stands behind an end token, and
            altogether where no tokenizer has read the tokens.
        step: Int `[G]`, the step of the row that wrote the position, from 0; -1 where it was given.
        confidence: Float `[G]`, the token's probability when it was written; nan where it was given or not kept.
        entropy: Float `[G]`, of the position's distribution then, in bits; likewise.
        calls: Denoiser calls.
        useful: Positions before the first end token.
        tokens: Ids of the tokens, where `pieces` are still to be read from them.
        solution: A worked solution, where the task has one.
        right: Whether the task accepts the answer, where there is a task.
        entropies: Float `[T, G]`, before each step the entropy of each position that was masked then, in bits; nan
            elsewhere. None where it was not observed.
    """

    prompt: str
    pieces: tuple[str, ...]
    step: NDArray[np.int64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]
    calls: int
    useful: int
    tokens: tuple[int, ...] = ()
    solution: str | None = None
    right: bool | None = None
    entropies: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Scores have so many digits as a file keeps, so that an answer says the same from a file as fresh."""
        for name in ("confidence", "entropy", "entropies"):
            if (scores := getattr(self, name)) is not None:
                object.__setattr__(self, name, scores.round(DIGITS))

    @property
    def text(self) -> str:
        """The pieces before the first end token together."""
        return "".join(self.pieces[: self.useful])

    @property
    def steps(self) -> int:
        """How many steps the row took."""
        return int(self.step.max(initial=-1)) + 1

    def block_steps(self, block_length: int) -> NDArray[np.int64]:
        """Int `[G]`: for each position the step of its own block that wrote it, from 0; -1 where it was given."""
        found = np.full(len(self.step), -1)
        first = 0
        for start in range(0, len(self.step), block_length):
            block = self.step[start : start + block_length]
            found[start : start + block_length] = np.where(block >= 0, block - first, -1)
            first = max(first, int(block.max(initial=-1)) + 1)
        return found


@dataclass(frozen=True, eq=False)
class Traced:
    """What one planner did at one block length.

    Attributes:
        planner: The text of the planner.
        block_length: The block length of the grid, whose first block begins at position 0.
        answers: The answers, at least one.
        model: What answered, as the user named it.
    """

    planner: str
    block_length: int
    answers: tuple[Answer, ...]
    model: str = ""

    def judged(self, solutions: Sequence[str], right: Callable[[int, str], bool]) -> Traced:
        """The same with each answer's worked solution, and whether `right` accepts answer i of that text."""
        answers = (
            replace(answer, solution=solution, right=right(number, answer.text))
            for number, (answer, solution) in enumerate(zip(self.answers, solutions, strict=True))
        )
        return replace(self, answers=tuple(answers))

    def before_end(self) -> Traced:
        """The same without what stands behind each answer's first end token; answers that are empty then go.

        Raises:
            AnalysisError: Nothing is left.
        """
        kept = tuple(_cut(answer) for answer in self.answers if answer.useful)
        if not kept:
            raise AnalysisError(f"{self.planner} wrote nothing before an end token in blocks of {self.block_length}")
        return replace(self, answers=kept)


def _cut(answer: Answer) -> Answer:
    end = answer.useful
    return replace(
        answer,
        pieces=answer.pieces[:end],
        step=answer.step[:end],
        confidence=answer.confidence[:end],
        entropy=answer.entropy[:end],
        tokens=answer.tokens[:end],
        entropies=None if answer.entropies is None else answer.entropies[:, :end],
    )
