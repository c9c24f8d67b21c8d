"""Progress bars over many prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from dus.decoding import Step
    from dus.decoding.settings import Settings


class PromptsBar:
    """A bar on standard error, which counts prompts: a `progress` function of `dus.generate`, a context manager.

    Where standard error is no terminal, or there is one answer only, nothing is shown.

    Args:
        prompts: how many.
        samples: answers to each.
        settings: of the generation.
    """

    def __init__(self, prompts: int, samples: int, settings: Settings) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(), TextColumn("{task.completed:.0f} of {task.total} prompts"), TimeElapsedColumn())
        self.bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=prompts * samples == 1 or not console.is_terminal,
        )
        self.task = self.bar.add_task("prompts", total=prompts)
        self.samples, self.length = samples, settings.max_new_tokens
        self.reached: dict[int, int] = {}

    def __enter__(self) -> PromptsBar:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, step: Step) -> None:
        """Count the rows that are through, and of those on their way the blocks that are."""
        self.reached.update(zip(step.rows, step.starts, strict=True))
        inside = set(step.rows)
        shares = (max(at, 0) / max(self.length, 1) if row in inside else 1.0 for row, at in self.reached.items())
        self.bar.update(self.task, completed=sum(shares) / self.samples)


@contextmanager
def counted(total: int, there: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, where that is a terminal, over prompts that come in any order.

    Args:
        total: how many prompts there are.
        there: how many are done already.

    Yields:
        What is called for each prompt that is done.
    """
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed} of {task.total} prompts"), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("prompts", total=total, completed=there)
        yield lambda: bar.advance(task)
