"""Markdown from numbers."""

from __future__ import annotations

from collections.abc import Sequence


def nats(value: float) -> str:
    """Nats with as many digits as a reader can use."""
    if abs(value) < 5e-4:
        return "0.000"
    return f"{value:.3f}" if abs(value) < 9.9995 else f"{value:.2f}"


def listed(words: Sequence[str]) -> str:
    """Words with commas and an 'and'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) if words else "none"
