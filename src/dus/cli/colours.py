"""Tokens coloured by the step that wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from rich.style import Style
from rich.text import Text

from dus.writing.colours import colour, ink, pieces

_LEGEND = 8
MASK, END = "▁", "·"
_pieces = lru_cache(maxsize=1024)(pieces)  # a live view asks for the same ones again and again
DIM = Style(dim=True)


def step_style(step: int, steps: int) -> Style:
    """The style of what step 0, 1, … of `steps` wrote: a background on which black or white can be read."""
    background = colour(step, steps)
    return Style(color=ink(background), bgcolor=_named(background))


def step_ink(step: int, steps: int) -> Style:
    """The same colour as ink."""
    return Style(color=_named(colour(step, steps)))


def _named(shade: tuple[int, int, int]) -> str:
    return f"rgb{shade}".replace(" ", "")


def legend(steps: int) -> Text:
    """The colours of the steps of a block, at most eight of them."""
    shown = sorted({round(i * (steps - 1) / max(min(steps, _LEGEND) - 1, 1)) for i in range(min(steps, _LEGEND))})
    cells = [Text(f" {step + 1} ", step_style(step, steps)) for step in shown]
    return Text.assemble("step of the block ", *cells)


def scale() -> Text:
    """The colours from first to last, where numbers of steps differ."""
    return Text.assemble("a block's first step ", *[("  ", step_style(at, 10)) for at in range(10)], " its last")


def coloured(
    tokenizer: Any, tokens: Sequence[int], steps: Sequence[int], count: int, *, mask: int, ends: Iterable[int] = ()
) -> Text:
    """The tokens as one text, each on the colour of its step.

    Args:
        tokenizer: of the model.
        tokens: ids, masks among them.
        steps: for each the step of its block, from 0.
        count: how many steps the colour scale has.
        mask: the mask token's id, shown as a dim line.
        ends: ids of end tokens, shown as a dot.
    """
    text = Text()
    blank = {mask: MASK, **dict.fromkeys(ends, END)}
    start = 0
    for at in range(len(tokens) + 1):
        if at < len(tokens) and tokens[at] not in blank:
            continue
        for piece, step in zip(_pieces(tokenizer, tuple(tokens[start:at])), steps[start:at], strict=True):
            text.append(piece, step_style(step, count) if step >= 0 else None)
        if at < len(tokens):
            text.append(blank[tokens[at]], step_style(steps[at], count) if steps[at] >= 0 else DIM)
        start = at + 1
    return text
