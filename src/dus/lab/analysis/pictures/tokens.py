"""Tokens as they are shown: every one visible, on the colour of its step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from dus.lab.analysis.traced import Traced
from dus.writing.style import STEPS

BREAK = "⏎"
_NOTHING = "·"
_TAB = "⇥"


@dataclass(frozen=True)
class Word:
    """One position of an answer.

    Attributes:
        text: The text of the token, nothing in it invisible; a line ends behind each `BREAK`.
        step: The step of the row that wrote it, from 0; -1 where it was given.
        paper: The colour of the step of its block, as `#rrggbb`.
        ink: Black or white, whichever can be read on it.
        about: Position, step and scores in words.
    """

    text: str
    step: int
    paper: str
    ink: str
    about: str


def words(run: Traced) -> list[Word]:
    """The positions of a run's first answer."""
    answer = run.answers[0]
    steps = answer.block_steps(run.block_length)
    count = int(steps.max(initial=0)) + 1
    found = []
    for at, (piece, step) in enumerate(zip(answer.pieces, steps.tolist(), strict=True)):
        paper, ink = step_colour(step, count) if step >= 0 else ("#ffffff", "#000000")
        about = f"position {at}, " + ("given" if step < 0 else f"step {answer.step[at] + 1}")
        if answer.confidence[at] == answer.confidence[at]:  # not nan: scores were kept
            about += f", confidence {answer.confidence[at]:.2f}, entropy {answer.entropy[at]:.2f} bits"
        found.append(Word(shown(piece), int(answer.step[at]), paper, ink, about))
    return found


def shown(piece: str) -> str:
    """The text of a token with its line breaks and control characters made visible, and a dot for no text at all."""
    text = piece.replace("\r\n", "\n").replace("\n", BREAK).replace("\t", _TAB)
    return "".join(map(_visible, text)) or _NOTHING


def _visible(letter: str) -> str:
    """Controls as their pictures; what else has no shape, or turns the direction of the text, as a box."""
    if ord(letter) < 0x20:
        return chr(0x2400 + ord(letter))
    return letter if letter.isprintable() else "▯"


@lru_cache(maxsize=1024)
def step_colour(step: int, count: int) -> tuple[str, str]:
    """Paper and ink for step 0, 1, … of `count`, as `#rrggbb`; the ink with the larger contrast by WCAG 2."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    # The darkest fifth is left out: next to each other its steps all look black.
    colour = colormaps[STEPS](0.2 + 0.8 * step / max(count - 1, 1))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return to_hex(colour), "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
