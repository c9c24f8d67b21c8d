"""What a task is, with problems without end and a score for any text; and what an evaluation asks of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol

Unit = Literal["right", "nats"]
LEVELS = (1, 2, 3)
HELD_OUT_SIZES = (500, 2000)


class TaskError(ValueError):
    """A task, level or size that does not exist; the message names those that do."""


@dataclass(frozen=True)
class Problem:
    """One problem with its worked solution.

    `question` is what the model is asked, `solution` a full correct answer text, `answer` the part of it that is
    scored, `level` the difficulty (1 is the easiest).
    """

    question: str
    solution: str
    answer: str
    level: int


class Task(Protocol):
    """The contract of a task: three methods and what describes them; no model and no tensor.

    Attributes:
        name: The name under which `dus.evaluation.tasks.get` finds it.
        unit: What `score` counts: `right` (1 if solved, else 0), or `nats` a token (less is better).
        answer_tokens: For each level the number of tokens of the bundled model that every solution fits in.
        runs_code: Whether scoring runs what the model wrote, in the sandbox.
    """

    name: str
    unit: Unit
    answer_tokens: Mapping[int, int]
    runs_code: bool

    def problems(self, level: int, seed: int) -> Iterator[Problem]:
        """Training problems without end, the same for the same seed, none with a question of a held-out set."""
        ...

    def held_out(self, level: int, size: int = 500) -> tuple[Problem, ...]:
        """The fixed evaluation set: `size` of `HELD_OUT_SIZES` problems, distinct questions, always the same ones.

        The smaller set is the beginning of the larger one.
        """
        ...

    def score(self, problem: Problem, text: str) -> float:
        """What `text`, what a model answered, is worth, in the task's unit. Takes any text and never raises."""
        ...


def check_level(level: int) -> int:
    """`level` if it exists, else a TaskError that lists the levels."""
    if level not in LEVELS:
        raise TaskError(f"no level {level!r}: the levels are {', '.join(map(str, LEVELS))}")
    return level


def check_size(size: int) -> int:
    """`size` if there is a held-out set of that size, else a TaskError that lists the sizes."""
    if size not in HELD_OUT_SIZES:
        raise TaskError(f"no held-out set of {size!r} problems: the sizes are {', '.join(map(str, HELD_OUT_SIZES))}")
    return size


class Tasks(Mapping[str, Task]):
    """Tasks by their names, each imported when it is first asked for.

    Args:
        places: For each name the module and the class of its task, as in `package.module:Class`.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self.loaded: dict[str, Task] = {}

    def __getitem__(self, name: str) -> Task:
        if name not in self.loaded:
            module, _, attribute = self.places[name].partition(":")
            self.loaded[name] = getattr(import_module(module), attribute)()
        return self.loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


TASKS = Tasks(
    {
        "arithmetic": "dus.lab.tasks.arithmetic:Arithmetic",
        "code": "dus.lab.tasks.code:Code",
        "instructions": "dus.lab.tasks.instructions:Instructions",
        "text": "dus.lab.tasks.text:Text",
    }
)


def get(name: str) -> Task:
    """The task of that name; a TaskError that lists the known ones otherwise."""
    if name not in TASKS:
        raise TaskError(f"no task {name!r}: the tasks are {', '.join(sorted(TASKS))}")
    return TASKS[name]


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
