"""Answers whose tokens are coloured by the step that wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


# From early to late; equal steps look equally far apart (anchors of matplotlib's viridis, its darkest end left out).
_ANCHORS = ((68, 57, 131), (49, 104, 142), (33, 145, 140), (53, 183, 121), (144, 215, 67), (253, 231, 37))
_BRIGHT = 120


def colour(step: int, steps: int) -> tuple[int, int, int]:
    """Red, green and blue of step 0, 1, … of `steps`."""
    place = (len(_ANCHORS) - 1) * min(step, steps - 1) / max(steps - 1, 1)
    low = min(int(place), len(_ANCHORS) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(_ANCHORS[low], _ANCHORS[low + 1], strict=True))
    red, green, blue = mixed
    return red, green, blue


def ink(background: tuple[int, int, int]) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = background
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT else "#ffffff"


def block_steps(step: Tensor, ends: Sequence[int]) -> list[int]:
    """For each position the step of its own block that wrote it, from 0; -1 where none did.

    Args:
        step: Int64 `[G]`: the steps of the row, as in `Trace`.
        ends: The positions where its blocks end, as in `Trace.blocks`.
    """
    found: list[int] = []
    for start, end in pairwise([0, *ends]):
        block = step[start:end]
        written = block[block >= 0]
        first = int(written.min()) if len(written) else 0
        found += [int(at) - first if at >= 0 else -1 for at in block]
    return found


def pieces(tokenizer: Any, tokens: Sequence[int]) -> tuple[str, ...]:
    """For each token the part of the decoded text that it adds; bytes of a character not yet whole add nothing.

    What a token adds is seen by decoding it behind those before it, back to the last one that completed a character.
    """
    found = []
    before = since = 0
    for at in range(1, len(tokens) + 1):
        old = tokenizer.decode(list(tokens[before:since]))
        new = tokenizer.decode(list(tokens[before:at]))
        whole = at == len(tokens) or not new.endswith("\N{REPLACEMENT CHARACTER}")
        found.append(new[len(old) :] if whole else "")
        if whole:
            before, since = since, at
    return tuple(found)


def as_html(generation: Any, most: int) -> str:
    """The first answers of a generation, each token on the colour of its step, as HTML for a notebook.

    Args:
        generation: The answers.
        most: The largest number of answers to show.
    """
    parts = [f"<div>{escape(repr(generation).splitlines()[0])}</div>"]
    for row, calls in enumerate(generation.nfe[:most]):
        tokens, step = generation.tokens[row].tolist(), generation.trace.step[row]
        steps = block_steps(step, generation.trace.blocks[row])
        before = max(len(tokens) - len(steps), 0)  # what stands before the first mask of a text that was filled in
        steps = [-1] * before + steps[: len(tokens) - before]
        readable = generation.tokenizer is not None
        words = pieces(generation.tokenizer, tokens) if readable else [f"{token} " for token in tokens]
        count = max(steps, default=0) + 1
        answer = "".join(_span(word, at, count) for word, at in zip(words, steps, strict=True))
        figures = f"{calls} calls, {generation.tpf[row]:.2f} tokens a call"
        parts.append(f'<pre style="white-space: pre-wrap">{answer}</pre><div><small>{figures}</small></div>')
    if len(generation.nfe) > most:
        parts.append(f"<div>and {len(generation.nfe) - most} more</div>")
    return "\n".join(parts)


def _span(word: str, step: int, count: int) -> str:
    if step < 0 or not word:
        return escape(word)
    background = colour(step, count)
    style = f"background: rgb{background}; color: {ink(background)}"
    return f'<span style="{style}" title="step {step + 1} of the block">{escape(word)}</span>'
