"""Tables as Markdown and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO


@dataclass(frozen=True)
class Table:
    """A head and rows of cells; the first column holds planners, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown, numbers right-aligned, planners as code."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1))]
        lines += [("`" + planner.replace("|", "\\|") + "`", *cells) for planner, *cells in self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows of cells as CSV."""
    file = StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
