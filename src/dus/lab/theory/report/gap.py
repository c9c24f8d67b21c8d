"""What `dus theory gap` says: dependence over distance under one denoiser, and whether it falls exponentially."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import TheoryError
from dus.lab.theory.fit import Fit, fits
from dus.lab.theory.gap import Gap, Mean
from dus.lab.theory.report.figures import panels
from dus.lab.theory.report.measured import TEMPLATES
from dus.writing.tables import filled, markdown, nats, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[int, tuple[Fit, Fit]]
"""By group size the exponential and the power law; sizes that show no dependence, or too few spacings, have none."""


def fitted(found: Sequence[Gap]) -> Curves:
    """The fits to the divergences of each group size."""
    curves = {}
    for size in _sizes(found):
        here = [gap for gap in found if gap.size == size]
        try:
            curves[size] = fits([gap.spacing for gap in here], np.stack([gap.divergence for gap in here], axis=1))
        except TheoryError:
            continue
    return curves


def section(found: Sequence[Gap], curves: Curves, exact: Mapping[tuple[int, int], float]) -> str:
    """Table and sentences, as Markdown.

    Args:
        found: The gaps.
        curves: The curves that `fitted` returned.
        exact: The true value by spacing and size, where it is known.
    """
    head = ["spacing", "group", "sum of marginals", "joint", "gap", "divergence", *(["exact"] if exact else [])]
    rows = [
        (
            gap.spacing,
            gap.size,
            *(cell(values) for values in (gap.marginals, gap.joint, gap.gap, gap.divergence)),
            *([nats(exact[gap.spacing, gap.size])] if exact else []),
        )
        for gap in found
    ]
    words = [_verdict(size, curves.get(size), [gap for gap in found if gap.size == size]) for size in _sizes(found)]
    return "\n".join(
        [markdown(head, rows), "", *(f"- {sentence}" for sentence in words), f"- {_consistency(found)}", ""]
    )


def draw(folder: Path, name: str, found: Sequence[Gap], curves: Curves) -> None:
    """Write `name.png`: divergence over spacing with 95% intervals, and the fits, a panel for each group size."""
    groups = {f"groups of {size}": [gap for gap in found if gap.size == size] for size in _sizes(found)}
    over_spacing(folder, name, groups, {f"groups of {size}": fit for size, fit in curves.items()})


def over_spacing(
    folder: Path, name: str, groups: Mapping[str, Sequence[Gap]], curves: Mapping[str, Sequence[Fit]] = {}
) -> None:
    """Write `name.png`: divergence over spacing with 95% intervals, a panel for each group.

    Args:
        folder: The folder that the picture goes to.
        name: The name of the file, without its ending.
        groups: By the title of its panel, the gaps that differ in spacing.
        curves: By title, the fits that are drawn beside them.
    """

    def panel(axis: Axes, title: str) -> None:
        here = groups[title]
        places = np.array([gap.spacing for gap in here], dtype=np.float64)
        means = [Mean.of(gap.divergence) for gap in here]
        middle = np.array([mean.nats for mean in means])
        spread = 1.96 * np.array([mean.error for mean in means])
        axis.errorbar(places, middle, yerr=np.minimum(spread, 0.999 * middle), fmt="o", label="measured")
        fine = np.linspace(places.min(), places.max(), 100)
        for fit, style in zip(curves.get(title, ()), ("-", ":"), strict=False):
            axis.plot(fine, fit.at(fine), style, color="0.4", label=fit.family)
        axis.set_yscale("log")
        axis.set_xlabel("spacing s")

    panels(folder, name, list(groups), panel)


def _sizes(found: Sequence[Gap]) -> list[int]:
    return sorted({gap.size for gap in found})


def cell(values: np.ndarray) -> str:
    """The mean of one value a text, with its standard error."""
    mean = Mean.of(values)
    return spread(mean.nats, mean.error)


def _verdict(size: int, curves: tuple[Fit, Fit] | None, found: Sequence[Gap]) -> str:
    """Whether dependence falls exponentially, and how fast."""
    if curves is None:
        few = len({gap.spacing for gap in found}) < 3
        return f"Groups of {size}: " + (
            "fewer than three spacings, so no curve is fitted." if few else "no dependence beyond noise at any spacing."
        )
    exponential, power = curves
    fit = (
        f"Groups of {size}: C ρ^s with ρ = {exponential.shape:.3f} (95% interval {exponential.low:.3f} to "
        f"{exponential.high:.3f}) and C = {nats(exponential.constant)} nats"
    )
    return f"{fit}; exponential decay {_holds(exponential)}, a power law s^-{power.shape:.2f} {_holds(power)}."


def _holds(fit: Fit) -> str:
    return f"{'fits' if fit.holds else 'does not fit'} (p = {fit.p:.2f})"


def _consistency(found: Sequence[Gap]) -> str:
    """How far the denoiser's conditionals contradict its marginals."""
    ratios = [Mean.of(gap.gap - gap.divergence) for gap in found]
    odd = [mean for mean in ratios if abs(mean.nats) > 3 * mean.error]
    if not odd:
        return "Gap and divergence agree within three standard errors everywhere: the conditionals fit together."
    widest = max(odd, key=lambda mean: abs(mean.nats))
    return (
        f"Gap and divergence differ by more than three standard errors in {len(odd)} of {len(found)} rows, by "
        f"{nats(widest.nats)} nats at most: there the denoiser's conditionals contradict its marginals."
    )


def page(body: str, picture: str, found: Sequence[Gap]) -> str:
    """The section with its picture, under what it is about."""
    return filled(TEMPLATES / "gap.md", body=body, picture=picture, texts=len(found[0].joint))
