"""What tasks that are written by a generator share: training problems and held-out sets from seeded streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache

from dus.evaluation.tasks import HELD_OUT_SIZES, LEVELS, Problem, check_level, check_size

HELD_OUT_SEED = "held-out"


class Generated(ABC):
    """A task whose problems come from a stream without end; its held-out sets have a stream of their own."""

    @staticmethod
    @abstractmethod
    def stream(level: int, seed: str) -> Iterator[Problem]:
        """Problems without end, the same for the same seed, held-out ones among them."""

    def problems(self, level: int, seed: int) -> Iterator[Problem]:
        """Training problems without end, the same for the same seed, none with a question of a held-out set.

        Raises TaskError for a level that does not exist.
        """
        stream = self.stream(check_level(level), str(int(seed)))
        forbidden = held_out_questions(type(self))
        return (problem for problem in stream if problem.question not in forbidden)

    def held_out(self, level: int, size: int = 500) -> tuple[Problem, ...]:
        """The first `size` (500 or 2,000) problems of the level's held-out set; TaskError for another level or size."""
        return _held_out(type(self), check_level(level))[: check_size(size)]


@cache
def _held_out(task: type[Generated], level: int) -> tuple[Problem, ...]:
    found: dict[str, Problem] = {}
    stream = task.stream(level, HELD_OUT_SEED)
    while len(found) < max(HELD_OUT_SIZES):
        problem = next(stream)
        found.setdefault(problem.question, problem)
    return tuple(found.values())


@cache
def held_out_questions(task: type[Generated]) -> frozenset[str]:
    """The questions of all held-out sets of a task."""
    return frozenset(problem.question for level in LEVELS for problem in _held_out(task, level))
