"""The units of a text, words, numbers and signs, and how they are written down and read back."""

from __future__ import annotations

import re
from collections.abc import Iterable

ENDS = (".", "?")
TO_THE_LEFT = frozenset({".", ",", "?", "!", ":", ";", "%", ")", "'s", "-", "/"})  # no space before these
TO_THE_RIGHT = frozenset({"$", "(", "-", "/"})  # no space after these
_UNIT = re.compile(r"'s(?![A-Za-z])|[A-Za-z]+(?:'t(?![A-Za-z]))?|[0-9]+(?:[.,][0-9]+)*[A-Za-z]*|\S")


def parse(text: str) -> list[str]:
    """The units of any text. Where it has spaces does not matter beyond that."""
    return _UNIT.findall(text)


def render(units: Iterable[str]) -> str:
    """The units as one writes them, with `parse(render(units)) == units` for all that `is_unit`."""
    written, last = "", ""
    for unit in units:
        joined = not written or unit in TO_THE_LEFT or last in TO_THE_RIGHT
        written += unit if joined else f" {unit}"
        last = unit
    return written


def is_unit(text: str) -> bool:
    """Whether the text may be a unit of a vocabulary: a word, a whole number or one of the signs known here."""
    return text in TO_THE_LEFT | TO_THE_RIGHT or re.fullmatch(r"[A-Za-z]+|[0-9]+", text) is not None
