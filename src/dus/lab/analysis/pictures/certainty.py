"""How uncertain positions are, and what planners make of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.intervals import ratios
from dus.lab.analysis.traced import Traced
from dus.writing.style import block_lines, colours, label, panels, tiles, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = 24  # colours of entropy: as many as can be told apart, and a small file


def entropy_map(path: Path, runs: Sequence[Traced]) -> None:
    """The entropy of each masked position before each step, a dot where the step unmasked it; a panel a planner.

    Args:
        path: The path of the pictures, without a suffix.
        runs: Planners at one block length whose first answers were observed (`Answer.entropies`).
    """
    from matplotlib import colormaps

    fields = [run.answers[0].entropies for run in runs]
    seen = [field for field in fields if field is not None]
    top = max(1.0, *(float(np.nanmax(field, initial=0)) for field in seen))
    cmap = colormaps["YlGnBu"].resampled(_LEVELS)
    with tiles(path, len(runs), 3.6, 3.3) as axes:
        for axis, run, field in zip(axes, runs, seen, strict=True):
            step = run.answers[0].step
            extent = (-0.5, len(step) - 0.5, len(field) + 0.5, 0.5)
            image = axis.imshow(
                field, cmap=cmap, extent=extent, aspect="auto", interpolation="nearest", vmin=0, vmax=top
            )
            written = np.flatnonzero(step >= 0)
            size = float(np.clip(900 / max(len(step), len(field)), 4, 22))
            axis.scatter(written, step[written] + 1, s=size, color="#D55E00", edgecolors="white", linewidths=0.4)
            block_lines(axis, len(step), run.block_length)
            whole_ticks(axis.xaxis, axis.yaxis)
            axis.set_title(label(run.planner), loc="left")
            axis.set_xlabel("position (dot: unmasked at this step)")
        axes[0].set_ylabel("step")
        bar = axes[-1].figure.colorbar(image, ax=axes, label="entropy (bits)", aspect=30, pad=0.01)
        bar.outline.set_visible(False)


def over_steps(path: Path, runs: Sequence[Traced]) -> None:
    """Mean entropy and confidence of what each step of a block unmasks, with 95% intervals; a row a block length.

    Args:
        path: The path of the pictures, without a suffix.
        runs: All of them, with scores.
    """
    ink = colours(run.planner for run in runs)
    lengths = sorted({run.block_length for run in runs})
    with panels(path, len(lengths), 2, 3.6, 2.5) as axes:
        for line, length in zip(axes, lengths, strict=True):
            for axis, score in zip(line, ("entropy", "confidence"), strict=True):
                for run in (run for run in runs if run.block_length == length):
                    _curve(axis, by_step(run, score), label(run.planner, 32), ink[run.planner])
                axis.set_xscale("log", base=2)
                axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
                axis.set_ylabel("entropy (bits)" if score == "entropy" else score)
                axis.set_ylim(*((0, None) if score == "entropy" else (None, 1)))
                axis.set_title(f"blocks of {length}", loc="left")
        for axis in axes[-1]:
            axis.set_xlabel("step of the block")
        drawn = {str(line.get_label()): line for row in axes for axis in row for line in axis.lines}
        axes[0][0].figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=3)


def _curve(axis: Axes, values: NDArray[np.float64], name: str, colour: str) -> None:
    """A mean over steps and the band of its interval; `values` are those of `by_step`."""
    value, low, high = values
    step = np.arange(1, len(value) + 1)
    axis.fill_between(step, low, high, color=colour, alpha=0.18, linewidth=0)
    style = ".-" if len(step) < 40 else "-"
    axis.plot(step, value, style, ms=4, linewidth=1, color=colour, label=name, clip_on=False)


def by_step(run: Traced, score: str) -> NDArray[np.float64]:
    """Float `[3, T]`: for each step of a block the mean `entropy` or `confidence` of what it unmasked, and bounds.

    Over all blocks and answers; the bounds are by bootstrap over the answers.
    """
    steps = [answer.block_steps(run.block_length) for answer in run.answers]
    count = max(int(step.max(initial=-1)) for step in steps) + 1
    total, many = np.zeros((2, len(steps), count))
    for row, (answer, step) in enumerate(zip(run.answers, steps, strict=True)):
        value = getattr(answer, score)
        known = (step >= 0) & ~np.isnan(value)
        np.add.at(total[row], step[known], value[known])
        np.add.at(many[row], step[known], 1)
    return np.array([(one.value, one.low, one.high) for one in ratios(total, many)]).T.reshape(3, count)
