"""Tokens coloured by the step that wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.style import Style
from rich.text import Text

from dus.lab.analysis.pieces import pieces

if TYPE_CHECKING:
    from torch import Tensor

# From early to late; equal steps look equally far apart (anchors of matplotlib's viridis, its darkest end left out).
_ANCHORS = ((68, 57, 131), (49, 104, 142), (33, 145, 140), (53, 183, 121), (144, 215, 67), (253, 231, 37))
_LEGEND = 8
MASK, END = "▁", "·"
_pieces = lru_cache(maxsize=1024)(pieces)  # a live view asks for the same ones again and again
DIM = Style(dim=True)


def step_style(step: int, steps: int) -> Style:
    """The style of what step 0, 1, … of `steps` wrote: a background on which black or white can be read."""
    red, green, blue = _colour(step, steps)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 120
    return Style(color="#000000" if bright else "#ffffff", bgcolor=f"rgb({red},{green},{blue})")


def step_ink(step: int, steps: int) -> Style:
    """The same colour as ink."""
    red, green, blue = _colour(step, steps)
    return Style(color=f"rgb({red},{green},{blue})")


def _colour(step: int, steps: int) -> list[int]:
    place = (len(_ANCHORS) - 1) * min(step, steps - 1) / max(steps - 1, 1)
    low = min(int(place), len(_ANCHORS) - 2)
    return [round(a + (b - a) * (place - low)) for a, b in zip(_ANCHORS[low], _ANCHORS[low + 1], strict=True)]


def legend(steps: int) -> Text:
    """The colours of the steps of a block, at most eight of them."""
    shown = sorted({round(i * (steps - 1) / max(min(steps, _LEGEND) - 1, 1)) for i in range(min(steps, _LEGEND))})
    cells = [Text(f" {step + 1} ", step_style(step, steps)) for step in shown]
    return Text.assemble("step of the block ", *cells)


def scale() -> Text:
    """The colours from first to last, where numbers of steps differ."""
    return Text.assemble("a block's first step ", *[("  ", step_style(at, 10)) for at in range(10)], " its last")


def block_steps(step: Tensor, ends: Sequence[int]) -> list[int]:
    """For each position the step of its own block that wrote it, from 0; -1 where none did.

    Args:
        step: int64 `[G]`, the row's steps, as in `Trace`.
        ends: where its blocks end, as in `Trace.blocks`.
    """
    found: list[int] = []
    for start, end in pairwise([0, *ends]):
        block = step[start:end]
        written = block[block >= 0]
        first = int(written.min()) if len(written) else 0
        found += [int(at) - first if at >= 0 else -1 for at in block]
    return found


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
