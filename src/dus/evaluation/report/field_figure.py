"""The pictures of a comparison: accuracy over calls, each family's own line, a panel for each block length."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from dus.evaluation.report.field import envelope, families
from dus.evaluation.report.figures import RC, STYLES
from dus.evaluation.report.results import Result, Section
from dus.writing.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288", "#117733")
"""Of Okabe and Ito, then of Tol."""

ACROSS, DOWN, LINES = 3.3, 3.2, 5
"""Inches of a panel, and lines of legend below each one."""


def frontier(stem: Path, section: Section, default: str) -> None:
    """Write `stem.png` and `stem.svg`: a panel for each block length, a line for each family, our default starred.

    The dashed line is the frontier of all others: at each number of calls the most right answers that any setting of
    another family has in as few.

    Args:
        stem: The path of the pictures without their suffix.
        section: The results.
        default: The text of our planner.
    """
    from matplotlib import rc_context

    with rc_context(RC):
        figure = _drawn(section, default)
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with replacing(stem.with_name(f"{stem.name}.{suffix}")) as partial:
                figure.savefig(partial, format=suffix, dpi=110, metadata=metadata)


def _drawn(section: Section, default: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lengths, found = section.block_lengths, families(section)
    ours = next((name for name, own in found.items() if any(one.planner == default for one in own)), None)
    foot = 0.75 + 0.19 * (len(found) + 2) / max(1, min(LINES, len(lengths)))
    width, height = 0.6 + ACROSS * max(2, len(lengths)), DOWN + foot
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(0.6 / width, foot / height, 0.99, 1 - 0.3 / height, 0.06)
    for axis, length in zip(axes, lengths, strict=True):
        _panel(axis, found, length, ours, default)
        axis.set_title(f"blocks of {length}", fontsize=10)
    axes[0].set_ylabel("right answers, %")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=max(2, len(lengths)), frameon=False, handlelength=3)
    return figure


def _panel(axis: Axes, found: dict[str, list[Result]], length: int, ours: str | None, default: str) -> None:
    """The lines of one block length."""
    colours, styles = cycle(COLOURS), cycle(STYLES)
    others: list[tuple[float, float]] = []
    for name, own in found.items():
        here = [one for one in own if one.block_length == length]
        points = sorted((one.measures["nfe"].value, 100 * one.score.mean()) for one in here)
        mine = name == ours
        stroke, marker = ("-", "o") if mine else next(styles)
        colour = "black" if mine else next(colours)
        over, right = [point[0] for point in points], [point[1] for point in points]
        axis.plot(
            over, right, color=colour, ls=stroke, marker=marker, ms=4, lw=2 if mine else 1, label=name, zorder=2 + mine
        )
        others += [] if mine else [(-calls, share) for calls, share in points]
        for one in (one for one in here if one.planner == default):
            place = (one.measures["nfe"].value, 100 * one.score.mean())
            axis.plot(*place, "*", color="black", ms=14, label="our default", zorder=4)
    edge = [(-calls, share) for calls, share in envelope(others)][::-1]
    axis.step([x for x, _ in edge], [y for _, y in edge], color="0.5", ls="--", where="post", label="best of others")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("denoiser calls a problem")
