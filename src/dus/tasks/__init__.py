"""Problems with checkable answers: seeded generators, fixed held-out sets, scorers. Imports no torch."""

from __future__ import annotations

from dus.tasks.arithmetic import Arithmetic
from dus.tasks.base import HELD_OUT_SIZES, LEVELS, Problem, Task, TaskError
from dus.tasks.code import Code
from dus.tasks.instructions import Instructions
from dus.tasks.text import Text

TASKS: dict[str, Task] = {task.name: task for task in (Arithmetic(), Code(), Instructions(), Text())}


def get(name: str) -> Task:
    """The task of that name; a TaskError that lists the known ones otherwise."""
    if name not in TASKS:
        raise TaskError(f"no task {name!r}: the tasks are {', '.join(sorted(TASKS))}")
    return TASKS[name]


__all__ = ["HELD_OUT_SIZES", "LEVELS", "TASKS", "Problem", "Task", "TaskError", "get"]
