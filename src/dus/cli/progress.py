"""Progress bars on standard error, shown where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from dus.decoding import Step
    from dus.decoding.settings import Settings
    from dus.evaluation.cells import Cell
    from dus.evaluation.engine import Shard
    from dus.evaluation.store import Store

MEMORY = 3600.0
"""Seconds of the past that a sweep's estimate is made from: a shard of a large model takes minutes."""


class _Bar:
    """A bar that is shown while it is entered.

    Args:
        count: How the bar tells what is done, in rich's form.
        shown: Whether there is a bar at all.
        **how: What else rich's `Progress` takes.
    """

    def __init__(self, count: str, *, shown: bool = True, **how: Any) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(), TextColumn(count), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        hidden = not (shown and console.is_terminal)
        self.bar = Progress(*columns, console=console, transient=True, disable=hidden, **how)

    def __enter__(self) -> Any:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()


class PromptsBar(_Bar):
    """A bar that counts prompts: a `progress` function of `dus.generate`, and a context manager.

    Where standard error is no terminal, or there is one answer only, nothing is shown.

    Args:
        prompts: How many prompts are answered.
        samples: How many answers each of them gets.
        settings: The settings that the answers are generated with.
    """

    def __init__(self, prompts: int, samples: int, settings: Settings) -> None:
        super().__init__("{task.completed:.0f} of {task.total} prompts", shown=prompts * samples > 1)
        self.task = self.bar.add_task("prompts", total=prompts)
        self.samples, self.length = samples, settings.max_new_tokens
        self.reached: dict[int, int] = {}

    def __call__(self, step: Step) -> None:
        """Count the rows that are through, and of those on their way the blocks that are."""
        self.reached.update(zip(step.rows, step.starts, strict=True))
        inside = set(step.rows)
        shares = (max(at, 0) / max(self.length, 1) if row in inside else 1.0 for row, at in self.reached.items())
        self.bar.update(self.task, completed=sum(shares) / self.samples)


class SweepBar(_Bar):
    """A bar that counts the answers of a sweep, each by the denoiser calls that it is expected to take.

    A context manager, and what `dus.evaluation.sweep` tells of each shard.

    Args:
        cells: The cells of the sweep; what the store holds of them already is no part of the estimate.
        store: The store that the sweep writes to.
    """

    def __init__(self, cells: Sequence[Cell], store: Store) -> None:
        super().__init__("{task.percentage:.0f}%, {task.description}", speed_estimate_period=MEMORY)
        self.left = {cell: len(store.missing(cell)) for cell in cells if not store.has(cell)}
        self.cells, self.calls = len(cells), {cell: cell.calls for cell in self.left}
        total = sum(calls * cell.problems * self.left[cell] / cell.shards for cell, calls in self.calls.items())
        self.task = self.bar.add_task(self._said(), total=total)

    def __call__(self, shard: Shard) -> None:
        """Count a shard."""
        cell = shard.cell
        self.left[cell] -= 1
        done = self.calls[cell] * cell.problems / cell.shards
        self.bar.update(self.task, description=self._said(), advance=done, refresh=True)

    def _said(self) -> str:
        done = self.cells - sum(shards > 0 for shards in self.left.values())
        return f"{done} of {self.cells} cells"


@contextmanager
def counted(total: int, there: int = 0, what: str = "prompts") -> Iterator[Callable[[], None]]:
    """A bar over things that come in any order.

    Args:
        total: How many there are.
        there: How many of them are done already.
        what: What they are called.

    Yields:
        What is called for each one that is done.
    """
    with _Bar("{task.completed} of {task.total} " + what) as shown:
        task = shown.bar.add_task(what, total=total, completed=there)
        yield lambda: shown.bar.advance(task)
