"""Tables as Markdown and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from dus.writing.tables import code, markdown


@dataclass(frozen=True)
class Table:
    """A head and rows of cells; the first column holds planners, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown, numbers right-aligned, planners as code."""
        return markdown(self.head, [(code(planner), *cells) for planner, *cells in self.rows])


def as_lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows of cells as CSV."""
    file = StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
