"""The pictures of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.fit import SMALLEST, Decay
from dus.lab.theory.report.studies import Comparison
from dus.lab.theory.schedules import schedule_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {
    "dus": "tab:blue",
    "best": "black",
    "best of dus's sizes": "0.5",
    "contiguous": "tab:red",
    "random": "tab:orange",
    "residues": "tab:green",
    "one call": "tab:purple",
}
FLOOR = 1e-4
"""Nats below which a picture shows nothing."""


def panels(
    folder: Path,
    name: str,
    titles: Sequence[str],
    draw: Callable[[Axes, str], None],
    height: float = 2.3,
    curves: bool = True,
) -> None:
    """Write `name.png`, a panel for each title.

    Args:
        folder: The folder that the picture goes to.
        name: The name of the file, without its ending.
        titles: The titles of the panels.
        draw: Draws the panel of a title.
        height: The height of a row of panels, in inches.
        curves: Whether the panels show nats, and need a legend, which comes below them.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    with rc_context({"font.size": 8, "ytick.minor.size": 0}):
        figure = Figure(figsize=(2.6 * columns, height * rows + 0.4))
        FigureCanvasAgg(figure)
        foot = (0.7 if curves else 0.1) / figure.get_figheight()
        figure.subplots_adjust(
            0.62 / figure.get_figwidth(), foot, 0.99, 1 - 0.3 / figure.get_figheight(), 0.25, 0.95 / height
        )
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, title in zip(axes, titles, strict=False):
            draw(axis, title)
            axis.set_title(title)
            axis.minorticks_off()
        for axis in axes[len(titles) :]:
            axis.axis("off")
        if curves:
            for axis in axes[::columns]:
                axis.set_ylabel("nats")
            figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=6, frameon=False)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png", dpi=80, metadata={"Software": None})


def bound(folder: Path, decays: Mapping[tuple[str, float], Decay], rate: float) -> None:
    """Dependence over spacing next to its bounds, a panel for each kind."""

    def draw(axis: Axes, kind: str) -> None:
        curve = decays[kind, rate]
        seen = curve.information > SMALLEST
        axis.semilogy(curve.spacings, curve.bound, "--", color="0.5", label="C ρ^s")
        axis.semilogy(curve.spacings, curve.states, ":", color="tab:orange", label="I(S_i; S_{i+s})")
        axis.semilogy(curve.spacings[seen], curve.information[seen], ".-", color="tab:blue", label="I(X_i; X_{i+s}, …)")
        axis.set_xlabel("spacing s")

    panels(folder, "bound", [kind for kind, at in decays if at == rate], draw)


def over_rates(folder: Path, name: str, compared: Sequence[Comparison]) -> None:
    """Mean divergence over the mixing rate, a panel for each kind."""
    kinds = list(dict.fromkeys(each.kind for each in compared))

    def draw(axis: Axes, kind: str) -> None:
        here = [each for each in compared if each.kind == kind]
        rates = sorted({round(each.rate, 4) for each in here})
        for label in ("one call", "contiguous", "random", "dus", "best of dus's sizes", "best"):
            means = [np.mean([each.nats[label] for each in here if round(each.rate, 4) == rate]) for rate in rates]
            axis.semilogy(rates, np.clip(means, FLOOR, None), ".-", color=COLORS[label], label=label)
        axis.set_ylim(FLOOR, 30)
        axis.set_xlabel("mixing rate ρ")

    panels(folder, name, kinds, draw)


def over_steps(folder: Path, compared: Mapping[str, Comparison]) -> None:
    """Divergence over the number of calls, a panel for each kind."""

    def draw(axis: Axes, kind: str) -> None:
        one = compared[kind]
        for label in ("contiguous", "random", "residues", "best"):
            values = np.clip([found[label] for found in one.over_steps.values()], FLOOR, None)
            axis.semilogy(list(one.over_steps), values, ".-", color=COLORS[label], label=label)
        axis.semilogy([one.steps], [max(FLOOR, one.nats["dus"])], "*", color=COLORS["dus"], ms=10, label="dus")
        axis.set_ylim(FLOOR, 30)
        axis.set_xlabel("calls")

    panels(folder, "steps", list(compared), draw)


def schedules(folder: Path, compared: Mapping[str, Comparison]) -> None:
    """Which step unmasks which position: DUS above, the best schedule below, a panel for each kind."""

    def draw(axis: Axes, kind: str) -> None:
        one = compared[kind]
        rows = [schedule_of("dus", one.length), one.best]
        steps = np.empty((2, one.length))
        for row, groups in enumerate(rows):
            for step, group in enumerate(groups):
                steps[row, group] = step + 1
        axis.imshow(steps, cmap="viridis_r", aspect="auto", vmin=1, vmax=one.steps)
        for row, place in np.ndindex(steps.shape):
            ink = "black" if steps[row, place] <= one.steps / 2 else "white"
            axis.text(place, row, f"{steps[row, place]:g}", ha="center", va="center", fontsize=6, color=ink)
        axis.set_yticks([0, 1], ["dus", "best"])
        axis.set_xticks([])

    panels(folder, "schedules", list(compared), draw, height=0.9, curves=False)
