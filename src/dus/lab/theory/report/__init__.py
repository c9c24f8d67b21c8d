"""The report that `dus theory report` writes: a page, and the pictures that it shows."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

from dus.lab.theory.kinds import KINDS
from dus.lab.theory.report import figures, page, studies, transfer
from dus.lab.theory.report.extent import FULL, QUICK, Extent
from dus.lab.theory.report.measured import TEMPLATES
from dus.lab.theory.schedules import schedule_of
from dus.writing import files, pages
from dus.writing.style import require_matplotlib

__all__ = ["FULL", "QUICK", "Extent", "write"]


def write(folder: Path, extent: Extent = FULL, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Run all studies and write `theory.md` and its pictures, in `theory/`.

    Args:
        folder: the folder that they go to.
        extent: how much is looked at.
        tell: called with the name of each study before it runs.

    Returns:
        The page.

    Raises:
        PictureError: matplotlib is not installed.
    """
    require_matplotlib()
    tell("planners on first-order chains")
    values = page.first_look(studies.first_look(extent)) | page.identity(studies.identity())
    tell("the bound")
    curves = studies.decays(extent)
    rate = max(rate for rate in extent.long_rates if rate < 0.95)
    figures.bound(folder / "theory", curves, rate)
    values |= page.bound(curves) | _compared(folder / "theory", extent, rate, tell)
    tell("context and block length")
    values |= page.blocks(studies.contexts(extent), studies.blocks(extent))
    tell("long contexts")
    values |= transfer.far(extent)
    tell("schedules made from measurements")
    values |= transfer.plans(extent)
    tell("planners that look at predictions")
    values |= page.adaptive(studies.adaptive(extent))
    tell("local search")
    values |= page.searched(studies.searched(extent))
    values |= {"extent": extent, "shown_rate": rate, "python": platform.python_version()}
    values |= {"adaptive_rate": studies.ADAPTIVE_RATE, "searched_rate": studies.SEARCHED_RATE}
    values["search_steps"] = len(schedule_of("dus", extent.search_length))
    text = pages.filled(TEMPLATES / "theory.md", **values) + "\n"
    text = re.sub(r"(?m)^!\[.*\)$", rf"\g<0>\n\n*Made by `{extent.command}`.*", text)
    files.write(folder / "theory.md", text)
    return folder / "theory.md"


def _compared(pictures: Path, extent: Extent, shown_rate: float, tell: Callable[[str], None]) -> page.Values:
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
    values = page.compared("short", short) | page.compared("long", long)
    return values | page.in_short(long, shown["vowels"]) | page.shown(list(shown.values()))
