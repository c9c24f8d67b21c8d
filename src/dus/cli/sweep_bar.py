"""The progress bar of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from dus.evaluation.cells import Cell
    from dus.evaluation.engine import Shard
    from dus.evaluation.store import Store

MEMORY = 3600.0
"""Seconds of the past that the estimate is made from: a shard of a large model takes minutes."""


class SweepBar:
    """A bar on standard error that counts answers, each by the denoiser calls that it is expected to take.

    A context manager, and what `dus.evaluation.sweep` tells of each shard.

    Args:
        cells: of the sweep; what the store holds of them already is no part of the estimate.
        store: of the sweep.
    """

    def __init__(self, cells: Sequence[Cell], store: Store) -> None:
        self.left = {cell: len(store.missing(cell)) for cell in cells if not store.has(cell)}
        self.cells, self.calls = len(cells), {cell: cell.calls for cell in self.left}
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=MEMORY,
            transient=True,
        )
        total = sum(calls * cell.problems * self.left[cell] / cell.shards for cell, calls in self.calls.items())
        self.task = self.bar.add_task(self._said(), total=total)

    def __enter__(self) -> SweepBar:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, shard: Shard) -> None:
        """Count a shard."""
        cell = shard.cell
        self.left[cell] -= 1
        self.bar.update(
            self.task, description=self._said(), advance=self.calls[cell] * cell.problems / cell.shards, refresh=True
        )

    def _said(self) -> str:
        done = self.cells - sum(shards > 0 for shards in self.left.values())
        return f"{done} of {self.cells} cells"
