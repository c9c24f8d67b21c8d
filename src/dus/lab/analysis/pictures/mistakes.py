"""Where first errors fall, and whether early results are wrong more often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dus.lab.analysis.mistakes import Mistakes
from dus.lab.analysis.traced import Traced
from dus.writing.style import INK, colours, label, panels, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def first_errors(path: Path, runs: Sequence[Traced], found: Sequence[Mistakes]) -> None:
    """First errors by position (left) and by step of their block (right), a row a planner.

    The line tells how many there would be if errors began at any token alike.

    Args:
        path: The path of the pictures, without a suffix.
        runs: Planners at one block length.
        found: What went wrong in each.
    """
    ink = colours(run.planner for run in runs)
    longest = max(len(answer.step) for run in runs for answer in run.answers)
    with panels(path, len(runs), 2, 4.0, 1.8) as axes:
        for line, run, mistakes in zip(axes, runs, found, strict=True):
            positions, steps = _tokens(run)
            _bars(line[0], [error.position for error in mistakes.first], positions, ink[run.planner], first=0)
            _bars(line[1], [error.step for error in mistakes.first], steps, ink[run.planner], first=1)
            line[0].set_title(label(run.planner), loc="left")
            line[1].set_title(f"{len(mistakes.first)} of {mistakes.answers} answers wrong", loc="left")
            line[0].set_ylabel("first errors")
            line[0].set_xlim(-1, longest)
        axes[0][0].legend()
        axes[-1][0].set_xlabel("position")
        axes[-1][1].set_xlabel("step of the block")


def _bars(axis: Axes, places: list[int], tokens: NDArray[np.int64], colour: str, *, first: int) -> None:
    """How many errors begin at each place, and the share of all tokens that stand there."""
    x = np.arange(len(tokens)) + first
    axis.bar(x, np.bincount(np.array(places, dtype=int), minlength=len(x)), color=colour, width=0.8)
    alike = tokens * len(places) / max(tokens.sum(), 1)
    axis.step(x, alike, where="mid", color=INK, linewidth=1, label="if any token alike")
    axis.set_ylim(0, max(1, axis.get_ylim()[1]))
    axis.set_xlim(first - 0.6, x[-1] + 0.6)
    whole_ticks(axis.xaxis, axis.yaxis)


def early_results(path: Path, found: Sequence[Mistakes]) -> None:
    """The share of wrong ones among early results (filled) and the others (hollow), with Wilson's 95% intervals.

    Args:
        path: The path of the pictures, without a suffix.
        found: What went wrong under each planner at each block length; a panel a block length.
    """
    ink = colours(each.planner for each in found)
    lengths = sorted({each.block_length for each in found})
    planners = list(ink)
    with panels(path, 1, len(lengths), 3.6, 0.8 + 0.42 * len(planners), sharey=True, sharex=True) as (axes,):
        for axis, length in zip(axes, lengths, strict=True):
            for each in (each for each in found if each.block_length == length):
                for early, shift in ((True, -0.15), (False, 0.15)):
                    share, at = each.wrong(early=early), planners.index(each.planner) + shift
                    colour = ink[each.planner]
                    fill = colour if early else "white"
                    axis.plot([share.low, share.high], [at, at], color=colour, linewidth=1.4)
                    axis.plot([share.value], [at], "o", ms=5, color=colour, mfc=fill, clip_on=False, zorder=5)
            axis.set_yticks(range(len(planners)), [label(planner, 28) for planner in planners])
            axis.set_ylim(len(planners) - 0.5, -0.5)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axis.set_title(f"blocks of {length}", loc="left")
            axis.set_xlabel("wrong, of early (●) and other (○) results")
        axes[0].set_xlim(left=0)


def _tokens(run: Traced) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens before the end stand at each position, and how many each step of a block wrote."""
    steps = [answer.block_steps(run.block_length)[: answer.useful] for answer in run.answers]
    position = np.concatenate([np.arange(len(step)) for step in steps])
    written = np.concatenate(steps)
    return np.bincount(position), np.bincount(written[written >= 0])
