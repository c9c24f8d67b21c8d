"""Which position is written at which step, and how far apart those of one step are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.spacing import padded, pairwise_distance
from dus.lab.analysis.traced import Answer, Traced
from dus.writing.style import block_lines, colours, label, panels, tiles, whole_ticks

_WIDTH = 3.5


def positions(path: Path, runs: Sequence[Traced]) -> None:
    """Positions over steps, as in the paper's first figure: a panel a planner, a dot for each token.

    Args:
        path: The path of the pictures, without a suffix.
        runs: Planners on the same prompt at one block length; the first answer of each is drawn.
    """
    ink = colours(run.planner for run in runs)
    longest = max(len(run.answers[0].step) for run in runs)
    with tiles(path, len(runs), _WIDTH, 2.7) as axes:
        for axis, run in zip(axes, runs, strict=True):
            answer = run.answers[0]
            written = np.flatnonzero(answer.step >= 0)
            size = float(np.clip(1100 / max(longest, 1), 5, 22))
            axis.scatter(written, answer.step[written] + 1, s=size, color=ink[run.planner], linewidths=0)
            axis.axvspan(answer.useful - 0.5, longest - 0.5, color="#F3F3F3", zorder=-1, linewidth=0)
            block_lines(axis, longest, run.block_length)
            axis.set_xlim(-1, longest)
            axis.set_ylim(answer.steps + 0.8, 0.2)
            whole_ticks(axis.xaxis, axis.yaxis)
            axis.set_title(f"{label(run.planner)}\n{_facts(run, answer)}", loc="left")
            axis.set_xlabel("position (grey: after the end)" if answer.useful < len(answer.step) else "position")
        axes[0].set_ylabel("step")


def _facts(run: Traced, answer: Answer) -> str:
    distance = float(pairwise_distance(answer.step, run.block_length)[0])
    apart = "" if np.isnan(distance) else f", mean distance {distance:.1f}"
    return f"{answer.steps} steps{apart}"


def distances(path: Path, runs: Sequence[Traced]) -> bool:
    """How often two positions that were unmasked together are 1, 2, … apart: a row a planner, a column a block length.

    Args:
        path: The path of the pictures, without a suffix.
        runs: The runs, of which those are drawn that ever unmask two positions at once.

    Returns:
        Whether there was any, and so a picture.
    """
    shares = {(run.planner, run.block_length): share for run in runs if (share := histogram(run)).any()}
    planners = list(dict.fromkeys(planner for planner, _ in shares))
    lengths = sorted({length for _, length in shares})
    if not shares:
        return False
    ink = colours(run.planner for run in runs)
    size = (len(planners), len(lengths), max(_WIDTH, 5.0 / len(lengths)), 1.5)
    with panels(path, *size, sharex="col", sharey="col") as axes:
        for line, planner in zip(axes, planners, strict=True):
            for axis, length in zip(line, lengths, strict=True):
                share = shares.get((planner, length), np.zeros(length - 1))
                axis.bar(np.arange(1, length), share, width=0.8, color=ink[planner])
                axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                whole_ticks(axis.xaxis)
                axis.set_title(label(f"{planner}, blocks of {length}"), loc="left")
            line[0].set_ylabel("pairs")
        for axis in axes[-1]:
            axis.set_xlabel("distance of two positions of one step")
    return True


def histogram(run: Traced) -> NDArray[np.float64]:
    """Float `[B - 1]`: the share of pairs of positions unmasked together that are 1, …, B - 1 apart, or zeros."""
    step = padded(answer.step for answer in run.answers)
    count = np.zeros(run.block_length - 1)
    for start in range(0, step.shape[1], run.block_length):
        block = step[:, start : start + run.block_length]
        for apart in range(1, block.shape[1]):
            count[apart - 1] += ((block[:, apart:] == block[:, :-apart]) & (block[:, apart:] >= 0)).sum()
    return count / max(count.sum(), 1)
