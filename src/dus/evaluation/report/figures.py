"""The frontier: accuracy over calls and over wall clock, a line for each planner or autoregressive model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dus.evaluation.cells import SweepError
from dus.evaluation.intervals import TOKEN_BY_TOKEN, Interval
from dus.evaluation.report.looks import OURS, PANELS, look
from dus.evaluation.report.results import Result, Section
from dus.writing.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Reference:
    """How well a model does on a task.

    Attributes:
        model: The name of the model.
        task: The name of lm-eval's task.
        score: The score, 0 to 1, with 1.96 of lm-eval's standard errors to either side.
    """

    model: str
    task: str
    score: Interval


def read(path: Path) -> list[Reference]:
    """A reference for each task of a file that `lm_eval --model hf --output_path …` wrote; the first metric counts.

    Raises:
        SweepError: It is no such file, or another model's.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        source = found["config"]["model"]
        name = str(found.get("model_name") or source)
        references = [Reference(name, task, _score(metrics)) for task, metrics in found["results"].items()]
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
        raise SweepError(f"{path} is no results file of lm-eval ({error})") from None
    if source not in ("hf", "hf-auto", "huggingface"):
        raise SweepError(f"{path} is of lm-eval's model {source!r}: the reference line is for its model 'hf'")
    return references


def _score(metrics: dict[str, object]) -> Interval:
    """The first metric that has a standard error, such as `exact_match,strict-match`."""
    errors = {name: name.replace(",", "_stderr,", 1) for name in metrics if "," in name}
    name = next(name for name, error in errors.items() if error in metrics)
    score, error = metrics[name], metrics[errors[name]]
    spread = 1.96 * error if isinstance(error, int | float) else float("nan")  # "N/A" where there is none
    value = float(score)  # type: ignore[arg-type]
    return Interval(value, value - spread, value + spread)


AXES: dict[str, tuple[str, Callable[[Result], float]]] = {
    "calls": ("denoiser calls a problem", lambda result: result.measures["nfe"].value),
    "seconds": ("milliseconds a problem", lambda result: 1000 * result.seconds),
}
EVERYWHERE = (OURS, TOKEN_BY_TOKEN)
RC: Any = {
    "font.size": 9,
    "svg.hashsalt": "dus",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
CACHE_COLOURS = {"none": "#000000", "prefix": "#E69F00", "dual": "#D55E00", "block": "#009E73", "touched": "#0072B2"}
STYLES = (
    ("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"), ((0, (5, 1, 1, 1)), "v"), ((0, (1, 1)), "P"),
    ("-", "X"), ("--", "<"), ("-.", ">"), (":", "p"), ((0, (5, 1, 1, 1)), "h"), ((0, (1, 1)), "d"),
)  # fmt: skip


@dataclass(frozen=True)
class _Line:
    """A line of a panel: what is measured at each block length, and how it is drawn."""

    results: list[Result]
    label: str
    colour: str
    star: bool = False
    lengths: bool = False


def require_matplotlib() -> None:
    """Refuse to begin where no picture could be drawn in the end.

    Raises:
        SweepError: Matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise SweepError("the report's pictures need matplotlib: pip install 'dus-lm[plots]'")


def frontier(stem: Path, section: Section, references: Sequence[Reference] = ()) -> None:
    """Write `stem.png` and `stem.svg`: columns of panels, calls above, wall clock below.

    A column has the planners of a kind, and DUS and token by token; or, where there are several cache modes, one
    planner with each of them. Bands are 95% intervals; small numbers are block lengths, of DUS or without a cache.

    Args:
        stem: The path of the picture without its suffix.
        section: The section whose results are drawn.
        references: The scores of autoregressive models, drawn as horizontal lines.
    """
    from matplotlib import rc_context

    with rc_context(RC):
        figure = _drawn(section, references)
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with replacing(stem.with_name(f"{stem.name}.{suffix}")) as partial:
                figure.savefig(partial, format=suffix, dpi=130, metadata=metadata)


def _columns(section: Section) -> dict[str, list[_Line]]:
    """The panels by their titles."""
    if len(section.caches) > 1:
        planners = dict.fromkeys(planner for planner, _ in section.lines)
        return {
            look(planner).label: [
                _Line(found, f"cache {cache}", CACHE_COLOURS[cache], lengths=cache == "none")
                for (name, cache), found in section.lines.items()
                if name == planner
            ]
            for planner in planners
        }
    lines = {
        planner: _Line(found, look(planner).label, look(planner).colour, planner == TOKEN_BY_TOKEN, planner == OURS)
        for (planner, _), found in section.lines.items()
    }
    own = {panel: [planner for planner in lines if look(planner).panel == panel] for panel in PANELS}
    return {
        PANELS[panel]: [line for name, line in lines.items() if name in own[panel] or name in EVERYWHERE]
        for panel in own
        if own[panel]
    }


def _drawn(section: Section, references: Sequence[Reference]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _columns(section)
    foot = 0.6 + 0.19 * (max(map(len, shown.values())) + len(references))  # inches, for the legends
    height = 2 * 2.7 + foot
    figure = Figure(figsize=(max(5.2, 0.5 + 3.1 * len(shown)), height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(shown), sharey=True, sharex="row", squeeze=False)
    figure.subplots_adjust(0.75 / figure.get_figwidth(), foot / height, 0.99, 1 - 0.3 / height, 0.08, 0.25)
    for column, (title, lines) in enumerate(shown.items()):
        for row, axis in enumerate(AXES):
            _panel(axes[row, column], axis, lines, section, references)
        axes[0, column].set_title(title, fontsize=10)
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


def _panel(axes: Axes, axis: str, lines: Sequence[_Line], section: Section, references: Sequence[Reference]) -> None:
    """A line for each of `lines` and each reference. Lines of one colour differ in stroke and marker."""
    label, over = AXES[axis]
    scale = 100 if section.unit == "right" else 1
    styles: dict[str, Iterator] = {}
    for line in lines:
        style = next(styles.setdefault(line.colour, cycle(STYLES)))
        points = sorted((over(result), result.block_length, result.measures["score"]) for result in line.results)
        _draw(axes, line, [(x, scale * y.low, scale * y.value, scale * y.high) for x, _, y in points], style)
        if line.lengths and axis == "calls":
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


def _draw(axes: Axes, line: _Line, points: list[tuple[float, float, float, float]], style: tuple) -> None:
    """One line: x, and the low, middle and high of its interval there."""
    stroke, marker = style
    xs, low, middle, high = zip(*points, strict=True)
    marker, size = ("*", 11.0) if line.star else (marker, 4.5)
    axes.plot(xs, middle, linestyle=stroke, marker=marker, ms=size, lw=1.5, color=line.colour, label=line.label)
    if len(points) > 1:
        axes.fill_between(xs, low, high, color=line.colour, alpha=0.12, lw=0)
    else:
        axes.errorbar(xs, middle, [[middle[0] - low[0]], [high[0] - middle[0]]], color=line.colour, lw=1.2)
