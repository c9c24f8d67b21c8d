"""An animated GIF of a generation, token by token, planners one below the other and in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from dus.lab.analysis.pictures.tokens import BREAK, Word, shown, words
from dus.lab.analysis.traced import Traced
from dus.writing.style import FAINT, INK, PAPER, write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = 80
MOST_FRAMES = 160
_SIZE, _MARGIN, _LEADING, _HEAD = 14, 14, 1.5, 1.9
_GREY = "#666666"


@dataclass(frozen=True)
class _Cell:
    """A part of a word that stands on one line."""

    word: Word
    text: str
    line: int
    column: int


def film(path: Path, runs: Sequence[Traced]) -> Path:
    """Write the first answers of some runs as a GIF in which every frame is one denoiser call of each.

    A planner that is done waits for the others; long generations show every second call, every third, ….

    Args:
        path: The path of the GIF.
        runs: Planners on the same prompt.
    """
    layouts = [_laid_out(words(run)) for run in runs]
    last = max(run.answers[0].steps for run in runs)
    stride = max(1, -(-last // MOST_FRAMES))
    moments = [*range(0, last, stride), last]
    frames = [_frame(runs, layouts, now) for now in moments]
    images = _reduced(frames)
    pause = min(max(9000 // len(images), 100), 700)
    durations = [pause] * (len(images) - 1) + [3000]

    def write(partial: Path) -> None:
        images[0].save(partial, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)

    return write_bytes(path, write)


def _reduced(frames: Sequence[Image]) -> list[Image]:
    """The frames in 64 colours, those of the last one, which has all: they differ only where tokens appear."""
    from PIL import Image

    palette = frames[-1].quantize(64, method=Image.Quantize.MEDIANCUT)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    # The search for the nearest colour is a rough one, and would leave the paper a shade of white.
    colours = palette.getpalette() or []
    paper = images[0].tobytes()[0]
    colours[3 * paper : 3 * paper + 3] = [255, 255, 255]
    for image in images:
        image.putpalette(colours)
    return images


def _laid_out(found: Sequence[Word]) -> list[_Cell]:
    """Each word's place, in lines of `COLUMNS` letters; words longer than what is left go to the next line."""
    cells = []
    line = column = 0
    for word in found:
        for part in word.text.replace(BREAK, BREAK + "\n").split("\n"):
            if column and column + len(part) > COLUMNS:
                line, column = line + 1, 0
            for at in range(0, len(part), COLUMNS):
                text = part[at : at + COLUMNS]
                cells.append(_Cell(word, text, line, column))
                column += len(text)
                if column >= COLUMNS or text.endswith(BREAK):
                    line, column = line + 1, 0
    return cells


def _frame(runs: Sequence[Traced], layouts: Sequence[Sequence[_Cell]], now: int) -> Image:
    """What has been written after `now` calls."""
    from PIL import Image, ImageDraw

    font, bold = _font("DejaVuSansMono.ttf"), _font("DejaVuSansMono-Bold.ttf")
    letter, leading = font.getlength("M"), round(_SIZE * _LEADING)
    lines = [max((cell.line for cell in cells), default=0) + 1 for cells in layouts]
    head = round(_SIZE * _HEAD)
    prompt = wrap(" ".join(map(shown, runs[0].answers[0].prompt.split())), COLUMNS, max_lines=4, placeholder=" …")
    height = sum(count * leading + head + _MARGIN for count in lines) + len(prompt) * leading + 2 * _MARGIN
    image = Image.new("RGB", (round(COLUMNS * letter) + 2 * _MARGIN, height), PAPER)
    draw = ImageDraw.Draw(image)
    top = _MARGIN
    for line in prompt:
        draw.text((_MARGIN, top), line, _GREY, font)
        top += leading
    top += _MARGIN
    for run, cells, count in zip(runs, layouts, lines, strict=True):
        steps = run.answers[0].steps
        draw.text((_MARGIN, top), f"{run.planner}   step {min(now, steps)} of {steps}"[:COLUMNS], INK, bold)
        top += head
        for cell in cells:
            left, upper = _MARGIN + cell.column * letter, top + cell.line * leading
            written = cell.word.step < now
            box = (left + 0.5, upper, left + len(cell.text) * letter - 1.5, upper + leading - 3)
            draw.rectangle(box, cell.word.paper if written else FAINT)
            if written:
                draw.text((left, upper + 1), cell.text, cell.word.ink, font)
        top += count * leading + _MARGIN
    return image


def _font(name: str) -> Any:
    """One of the fonts that come with matplotlib."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, _SIZE)
