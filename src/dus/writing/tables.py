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
