"""The report that `dus theory report` writes: a page, and the pictures that it shows."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

from dus.lab.theory.randoms import KINDS
from dus.lab.theory.report import figures, studies, transfer, values
from dus.lab.theory.report.extent import FULL, QUICK, Extent
from dus.lab.theory.report.measured import TEMPLATES
from dus.lab.theory.schedules import schedule_of
from dus.writing import files
from dus.writing.style import require_matplotlib
from dus.writing.tables import filled

__all__ = ["FULL", "QUICK", "Extent", "write"]


def write(folder: Path, extent: Extent = FULL, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Run all studies and write `theory.md` and its pictures, in `theory/`.

    Args:
        folder: The folder that they go to.
        extent: How much is looked at.
        tell: A function that is called with the name of each study before it runs.

    Returns:
        The page.

    Raises:
        PictureError: Matplotlib is not installed.
    """
    require_matplotlib()
    tell("planners on first-order chains")
    found = values.first_look(studies.first_look(extent)) | values.identity(studies.identity())
    tell("the bound")
    curves = studies.decays(extent)
    rate = max(rate for rate in extent.long_rates if rate < 0.95)
    figures.bound(folder / "theory", curves, rate)
    found |= values.bound(curves) | _compared(folder / "theory", extent, rate, tell)
    tell("context and block length")
    found |= values.blocks(studies.contexts(extent), studies.blocks(extent))
    tell("long contexts")
    found |= transfer.far(extent)
    tell("schedules made from measurements")
    found |= transfer.plans(extent)
    tell("planners that look at predictions")
    found |= values.adaptive(studies.adaptive(extent))
    tell("local search")
    found |= values.searched(studies.searched(extent))
    found |= {"extent": extent, "shown_rate": rate, "python": platform.python_version()}
    found |= {"adaptive_rate": studies.ADAPTIVE_RATE, "searched_rate": studies.SEARCHED_RATE}
    found["search_steps"] = len(schedule_of("dus", extent.search_length))
    text = filled(TEMPLATES / "theory.md", **found)
    text = re.sub(r"(?m)^!\[.*\)$", rf"\g<0>\n\n*Made by `{extent.command}`.*", text)
    files.write(folder / "theory.md", text)
    return folder / "theory.md"


def _compared(pictures: Path, extent: Extent, shown_rate: float, tell: Callable[[str], None]) -> values.Values:
    """DUS beside the best schedules of short and of long blocks, with pictures."""
    tell(f"the best schedule of {extent.short} positions")
    draws = range(extent.draws)
    short = [
        studies.compare(kind, rate, seed, extent.short) for kind in KINDS for rate in extent.rates for seed in draws
    ]
    figures.over_rates(pictures, "best-short", short)
    tell(f"the best schedule of {extent.length} positions")
    long = [
        studies.compare(kind, rate, seed, extent.length, extent.samples if (rate, seed) == (shown_rate, 0) else 0)
        for kind in KINDS
        for rate in extent.long_rates
        for seed in range(extent.long_draws)
    ]  # the orders that need sampling only where they are shown
    figures.over_rates(pictures, "best-long", long)
    shown = {each.kind: each for each in long if each.seed == 0 and round(each.rate, 4) == shown_rate}
    shown["vowels"] = studies.compare("vowels", 0, 0, extent.length, samples=extent.samples)
    figures.schedules(pictures, shown)
    figures.over_steps(pictures, shown)
    found = values.compared("short", short) | values.compared("long", long)
    return found | values.in_short(long, shown["vowels"]) | values.shown(list(shown.values()))
