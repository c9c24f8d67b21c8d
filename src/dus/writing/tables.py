"""Markdown and CSV: tables, numbers in them, and pages made from templates."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]], names: int = 1) -> str:
    """A table whose columns hold numbers, aligned to the right, but for the first `names`, which hold text.

    Args:
        head: The title of each column.
        rows: The rows, of as many cells as the head has; a cell is written as `str` gives it.
        names: How many columns are text.
    """
    lines = [head, ["---"] * names + ["---:"] * (len(head) - names), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def code(planner: str) -> str:
    """A planner's text as a cell: in code type, its bars escaped."""
    return f"`{planner}`".replace("|", "\\|")


def nats(value: float) -> str:
    """Nats, or bits, with as many digits as a reader can use."""
    if abs(value) < 5e-4:
        return "0.000"
    return f"{value:.3f}" if abs(value) < 9.9995 else f"{value:.2f}"


def spread(value: float, error: float) -> str:
    """A value in nats with its standard error."""
    return f"{nats(value)} ± {nats(error)}"


def listed(words: Sequence[str]) -> str:
    """Words with commas and an 'and'; 'none' where there are none."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) if words else "none"


def filled(template: Path, **values: object) -> str:
    """A Markdown template with its values filled in.

    A value stands in it as `<<name>>`, and what `str.format` understands goes with it: `<<extent.length>>`,
    `<<share:.1%>>`, `<<losses[dus]>>`.

    Args:
        template: The file.
        **values: The values by name; the template need not name all of them.

    Raises:
        KeyError: The template names a value that there is not.
    """
    text = template.read_text(encoding="utf-8").strip() + "\n"
    return re.sub(r"<<(.+?)>>", lambda found: f"{{{found[1]}}}".format(**values), text)


def headed(title: str, command: str, text: str) -> str:
    """A page of Markdown that begins with what was measured and what came out, and names its command then.

    Args:
        title: The title of the page.
        command: The command that made it.
        text: What it says: first what was measured. The first list before any heading is what came out.
    """
    first, *rest = text.strip().split("\n\n")
    lead = [first]
    if first.startswith(("|", "#", "!")):
        lead, rest = [], [first, *rest]
    before = next((at for at, part in enumerate(rest) if part.startswith("#")), len(rest))
    said = next((at for at, part in enumerate(rest[:before]) if part.startswith("- ")), None)
    if said is not None:
        lead.append(rest.pop(said))
    return "\n\n".join([f"# {title}", *lead, "Made by", f"    {command}", *rest]) + "\n"


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
