"""Markdown from numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, numbers right-aligned: every column but the first."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def nats(value: float) -> str:
    """Nats with as many digits as a reader can use."""
    if abs(value) < 5e-4:
        return "0.000"
    return f"{value:.3f}" if abs(value) < 9.9995 else f"{value:.2f}"


def listed(words: Sequence[str]) -> str:
    """Words with commas and an 'and'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) if words else "none"
