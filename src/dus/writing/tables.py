"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]], names: int = 1) -> str:
    """A table whose columns hold numbers, aligned to the right, but for the first `names`, which hold text.

    Args:
        head: the title of each column.
        rows: as many cells as the head has; a cell is written as `str` gives it.
        names: how many columns are text.
    """
    lines = [head, ["---"] * names + ["---:"] * (len(head) - names), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def code(planner: str) -> str:
    """A planner's text as a cell: in code type, its bars escaped."""
    return f"`{planner}`".replace("|", "\\|")
