"""How well a trained network answers: token by token, most confident first, on held-out problems of the tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from dus.evaluation.accuracy import TOKEN_BY_TOKEN, Accuracy
from dus.evaluation.cells import grid
from dus.evaluation.engine import Local, shards
from dus.evaluation.questions import held_out
from dus.evaluation.tasks import TASKS, Task

if TYPE_CHECKING:
    from dus.denoisers import Denoiser

BLOCK_LENGTH = 32


@dataclass(frozen=True)
class Verdict:
    """The scores of a task's held-out problems, in the order of the problems and in the task's unit."""

    task: Task
    level: int
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean score: the share of problems solved, or nats a token."""
        return fmean(self.scores)

    def __str__(self) -> str:
        if self.task.unit == "right":
            return str(Accuracy(sum(score == 1 for score in self.scores), len(self.scores)))
        half = 1.96 * pstdev(self.scores) / math.sqrt(max(1, len(self.scores) - 1))
        return f"{self.mean:.3f} ± {half:.3f} nats a token ({len(self.scores)} passages)"


def judge(model: Denoiser, task: Task, level: int, size: int) -> Verdict:
    """Answers the first `size` (at most 2,000) held-out problems of a level, as a sweep does, and scores them.

    Greedily; but passages, whose score is their likelihood, are drawn at temperature 1. The programs that a model
    writes for a task that `runs_code` run in the sandbox.
    """
    questions = held_out(task, level, size)
    [cell] = grid(
        [questions],
        planners=[TOKEN_BY_TOKEN],
        block_lengths=[BLOCK_LENGTH],
    )
    scores = {
        index: questions.score(index, answer.text)
        for shard, answered in Local(lambda: model).answers(shards(cell, questions))
        for index, answer in zip(shard.indices, answered.answers, strict=True)
    }
    return Verdict(task, level, tuple(score for _, score in sorted(scores.items())))


def judge_all(model: Denoiser, tasks: Sequence[str], levels: Sequence[int], size: int) -> Iterator[Verdict]:
    """The verdicts on `size` problems of each of some levels of some tasks."""
    for task in tasks:
        for level in levels:
            yield judge(model, TASKS[task], level, size)
