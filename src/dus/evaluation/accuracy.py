"""How often a denoiser solves a task's held-out problems, with the interval that the number of problems allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dus.analysis.intervals import wilson
from dus.evaluation.questions import held_out
from dus.tasks import Task

if TYPE_CHECKING:
    from dus.denoisers import Denoiser

TOKEN_BY_TOKEN = "confidence(per_step=1)"


@dataclass(frozen=True)
class Accuracy:
    """`right` of `total` problems solved."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The share of problems solved, 0 to 1."""
        return self.right / self.total

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's score interval of the share; `z` = 1.96 gives 95%."""
        found = wilson(self.right, self.total, z)
        return found.low, found.high

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.share:.1%} ({low:.1%} to {high:.1%}; {self.right} of {self.total})"


def accuracy(
    model: Denoiser, task: Task, level: int, size: int, *, planner: str = TOKEN_BY_TOKEN, block_length: int = 32
) -> Accuracy:
    """Decodes the first `size` (at most 2,000) held-out problems of a level, greedily, and scores them.

    Answers get `task.answer_tokens[level]` tokens, which every correct answer fits in.
    """
    from dus.decoding import generate

    problems = held_out(task, level, size).problems
    generation = generate(
        model,
        [problem.question for problem in problems],
        planner=planner,
        max_new_tokens=task.answer_tokens[level],
        block_length=block_length,
        batch_size=64,
        chat=True,
        scores=False,
    )
    right = sum(task.score(problem, text) == 1 for problem, text in zip(problems, generation.text or [], strict=True))
    return Accuracy(right, len(problems))
