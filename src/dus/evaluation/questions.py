"""What an evaluation asks: prompts with a score for each answer, from `dus.lab.tasks` or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dus.evaluation.tasks import HELD_OUT_SIZES, Problem, Task, TaskError, Unit


class Questions(Protocol):
    """A fixed list of prompts and how answers to them are scored."""

    @property
    def name(self) -> str:
        """Of the task and, where it has several, its level, as results and pages show it."""
        ...

    @property
    def prompts(self) -> list[str]:
        """What the model is asked, in a fixed order."""
        ...

    @property
    def chat(self) -> bool:
        """Whether a prompt is a user's message, to be put into the model's chat template, or plain text."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Room for an answer."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """An answer ends before the first of these strings."""
        ...

    @property
    def unit(self) -> Unit:
        """Of the scores: `right` (0 to 1, more is better) or `nats` a token (less is better)."""
        ...

    @property
    def runs_code(self) -> bool:
        """Whether scoring runs what the model wrote, in the sandbox."""
        ...

    def score(self, index: int, text: str) -> float:
        """What `text` is worth as an answer to prompt `index`. Takes any text and never raises."""
        ...

    def expected(self, index: int) -> str | None:
        """What is right, to be kept beside what was answered; None where a text cannot say it.

        Where it is another one than what was kept, answers are scored anew.
        """
        ...


@dataclass(frozen=True)
class HeldOut:
    """Held-out problems of one level of a task of `dus.lab.tasks`, as `Questions`."""

    task: Task
    level: int
    problems: tuple[Problem, ...]
    chat: bool = True
    stop: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The task's name and the level."""
        return f"{self.task.name}, level {self.level}"

    @property
    def prompts(self) -> list[str]:
        """The questions."""
        return [problem.question for problem in self.problems]

    @property
    def max_new_tokens(self) -> int:
        """Room for the longest solution."""
        return self.task.answer_tokens[self.level]

    @property
    def unit(self) -> Unit:
        """The task's unit."""
        return self.task.unit

    @property
    def runs_code(self) -> bool:
        """Whether the task runs what the model wrote."""
        return self.task.runs_code

    def score(self, index: int, text: str) -> float:
        """The task's score."""
        return self.task.score(self.problems[index], text)

    def expected(self, index: int) -> str | None:
        """The part of the solution that is scored."""
        return self.problems[index].answer


def held_out(task: Task, level: int, limit: int) -> HeldOut:
    """The first `limit` held-out problems of a level.

    Raises:
        TaskError: There is no such level, or there are not so many problems.
    """
    size = next((size for size in HELD_OUT_SIZES if size >= limit), None)
    if size is None:
        raise TaskError(f"{task.name} has {max(HELD_OUT_SIZES)} held-out problems a level, not {limit}")
    return HeldOut(task, level, task.held_out(level, size)[:limit])
