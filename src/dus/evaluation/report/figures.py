"""The frontier: accuracy over calls and over wall clock, one line a planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dus.evaluation.accuracy import TOKEN_BY_TOKEN
from dus.evaluation.cells import SweepError
from dus.evaluation.files import replacing
from dus.evaluation.report.looks import OURS, PANELS, look
from dus.evaluation.report.reference import Reference
from dus.evaluation.report.results import Result, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES: dict[str, tuple[str, Callable[[Result], float]]] = {
    "calls": ("denoiser calls a problem", lambda result: result.measures["nfe"].value),
    "seconds": ("seconds a problem", lambda result: result.seconds),
}
EVERYWHERE = (OURS, TOKEN_BY_TOKEN)
RC: Any = {
    "font.size": 9,
    "svg.hashsalt": "dus",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
STYLES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"), ((0, (5, 1, 1, 1)), "v"), ((0, (1, 1)), "P"))


def require_matplotlib() -> None:
    """Refuse to begin where no picture could be drawn in the end.

    Raises:
        SweepError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise SweepError("the report's pictures need matplotlib: pip install 'dus[plots]'")


def frontier(stem: Path, section: Section, cache: str, references: Sequence[Reference] = ()) -> None:
    """Write `stem.png` and `stem.svg`: a column of panels for each kind of planner, calls above, wall clock below.

    DUS and token by token are in every panel. Bands are 95% intervals; small numbers are DUS's block lengths.

    Args:
        stem: the path without its suffix.
        section: what to draw.
        cache: of which cache mode.
        references: of autoregressive models, horizontal lines.
    """
    from matplotlib import rc_context

    with rc_context(RC):
        figure = _drawn(section, cache, references)
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with replacing(stem.with_name(f"{stem.name}.{suffix}")) as partial:
                figure.savefig(partial, format=suffix, dpi=130, metadata=metadata)


def _drawn(section: Section, cache: str, references: Sequence[Reference]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = {planner: results for (planner, mode), results in section.lines.items() if mode == cache}
    own = {panel: [planner for planner in lines if look(planner).panel == panel] for panel in PANELS}
    shown = {panel: [name for name in lines if name in own[panel] or name in EVERYWHERE] for panel in own if own[panel]}
    foot = 0.6 + 0.19 * (max(map(len, shown.values())) + len(references))  # inches, for the legends
    height = 2 * 2.7 + foot
    figure = Figure(figsize=(max(5.2, 0.5 + 3.1 * len(shown)), height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(shown), sharey=True, sharex="row", squeeze=False)
    figure.subplots_adjust(0.75 / figure.get_figwidth(), foot / height, 0.99, 1 - 0.3 / height, 0.08, 0.25)
    for column, (panel, planners) in enumerate(shown.items()):
        for row, axis in enumerate(AXES):
            _panel(axes[row, column], axis, {planner: lines[planner] for planner in planners}, section, references)
        axes[0, column].set_title(PANELS[panel], fontsize=10)
        figure.legend(
            *axes[1, column].get_legend_handles_labels(),
            loc="upper left",
            bbox_to_anchor=(axes[1, column].get_position().x0, (foot - 0.45) / height),
            frameon=False,
            handlelength=3,
        )
    for axis in axes[:, 0]:
        low, high = axis.get_xlim()
        middle = (low * high) ** 0.5
        axis.set_xlim(min(low, middle / 2.2), max(high, middle * 2.2))  # two octaves, for less would have no tick
        axis.set_ylabel("right answers, %" if section.unit == "right" else "nats a token, less is better")
    return figure


def _panel(
    axes: Axes, axis: str, lines: dict[str, list[Result]], section: Section, references: Sequence[Reference]
) -> None:
    """A line for each planner and each reference. Planners of one colour differ in stroke and marker."""
    label, over = AXES[axis]
    scale = 100 if section.unit == "right" else 1
    styles: dict[str, Iterator] = {}
    for planner, results in lines.items():
        style = next(styles.setdefault(look(planner).colour, cycle(STYLES)))
        points = sorted((over(result), result.block_length, result.measures["score"]) for result in results)
        _line(axes, planner, [(x, scale * y.low, scale * y.value, scale * y.high) for x, _, y in points], style)
        if planner == OURS and axis == "calls":
            for x, length, y in points:
                here = (x, scale * y.value)
                axes.annotate(str(length), here, (0, -11), textcoords="offset points", ha="center", fontsize=7)
    for reference in references:
        score = reference.score
        axes.axhline(scale * score.value, color="black", lw=1, ls=(0, (6, 3)), label=f"AR: {reference.model}")
        axes.axhspan(scale * score.low, scale * score.high, color="black", alpha=0.06, lw=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(label)
    axes.grid(alpha=0.25, lw=0.6)


def _line(axes: Axes, planner: str, points: list[tuple[float, float, float, float]], style: tuple) -> None:
    """One planner: x, and the low, middle and high of its interval there."""
    seen, (stroke, marker) = look(planner), style
    xs, low, middle, high = zip(*points, strict=True)
    marker, size = ("*", 11.0) if planner == TOKEN_BY_TOKEN else (marker, 4.5)
    axes.plot(xs, middle, linestyle=stroke, marker=marker, ms=size, lw=1.5, color=seen.colour, label=seen.label)
    if len(points) > 1:
        axes.fill_between(xs, low, high, color=seen.colour, alpha=0.12, lw=0)
    else:
        axes.errorbar(xs, middle, [[middle[0] - low[0]], [high[0] - middle[0]]], color=seen.colour, lw=1.2)
