"""What all pictures share: one colour a planner, one look, small files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from dus.writing.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart; its yellow is too pale for lines on white.
_USUAL = {"dus": "#0072B2", "confidence(like=dus)": "#D55E00", "confidence(per_step=1)": "#5F5F5F"}
_OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4B1E", "#000000")
STEPS = "viridis"
"""The colours of steps, from early to late."""

ACROSS = 4
"""Panels in a row."""

PAPER, INK, FAINT = "#FFFFFF", "#222222", "#D9D9D9"
_LOOK: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "text.color": INK,
    "axes.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "text.parse_math": False,  # a planner or a prompt is no formula, whatever dollars it holds
    "svg.hashsalt": "dus",
}


class PictureError(ValueError):
    """A picture that cannot be drawn here; the message says what is missing."""


def require_matplotlib() -> None:
    """Refuse to begin where no picture could be drawn in the end.

    Raises:
        PictureError: Matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise PictureError("pictures need matplotlib: pip install 'dus-lm[plots]'")


def colours(planners: Iterable[str]) -> dict[str, str]:
    """For each planner its colour: DUS, self-confidence and token by token always have theirs."""
    found = dict.fromkeys(planners, "")
    rest = [planner for planner in found if planner not in _USUAL]
    others = {planner: _OTHERS[number % len(_OTHERS)] for number, planner in enumerate(rest)}
    return {planner: _USUAL.get(planner) or others[planner] for planner in found}


@contextmanager
def panels(path: Path, rows: int, columns: int, width: float, height: float, **more: Any) -> Iterator[list[list[Axes]]]:
    """Axes to draw on, written as `path.png` and `path.svg` afterwards.

    Args:
        path: Without a suffix.
        rows, columns: The numbers of rows and columns of panels.
        width, height: The width and the height of a panel, in inches.
        more: Further arguments of `Figure.subplots`.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_LOOK):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        yield [list(line) for line in figure.subplots(rows, columns, squeeze=False, **more)]
        _write(figure, path)


@contextmanager
def tiles(path: Path, count: int, width: float, height: float, **more: Any) -> Iterator[list[Axes]]:
    """As `panels`, `count` of them, at most `ACROSS` side by side."""
    columns = min(count, ACROSS)
    with panels(path, -(-count // columns), columns, width, height, **more) as lines:
        flat = [axis for line in lines for axis in line]
        for axis in flat[count:]:
            axis.axis("off")
        yield flat[:count]


def label(text: str, width: int = 44) -> str:
    """A planner's text, in lines that fit a panel."""
    return "\n".join(wrap(text, width))


def whole_ticks(*axes: Axis) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def block_lines(axis: Axes, length: int, block_length: int) -> None:
    """Thin lines between the blocks."""
    for start in range(block_length, length, block_length):
        axis.axvline(start - 0.5, color=FAINT, linewidth=0.8, zorder=0)


def write_bytes(path: Path, write: Callable[[Path], object]) -> Path:
    """A file under a temporary name of the same ending until `write` is through."""
    with replacing(path) as partial:
        write(partial)
    return path


def _write(figure: Figure, path: Path) -> None:
    """The figure as PNG, of 256 colours, which makes it a third as large, and as SVG."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    image = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    write_bytes(path.with_name(f"{path.name}.png"), lambda partial: image.save(partial, optimize=True))
    write_bytes(path.with_name(f"{path.name}.svg"), lambda partial: figure.savefig(partial, metadata={"Date": None}))
