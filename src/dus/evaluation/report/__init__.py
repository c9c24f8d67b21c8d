"""The report of a sweep: a page, the tables as CSV, and the pictures, all from the samples on disk."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dus.evaluation.cells import SweepError
from dus.evaluation.report import field_figure, figures, tables
from dus.evaluation.report.aup import aups
from dus.evaluation.report.field import finished
from dus.evaluation.report.field_page import DEFAULT, field_page
from dus.evaluation.report.page import page
from dus.evaluation.report.results import MEASURES, Section, paired, sections
from dus.evaluation.store import Store
from dus.writing.files import replacing
from dus.writing.files import write as write_text

__all__ = ["write", "write_field"]


def write(
    folder: Path,
    out: Path,
    *,
    command: str = "",
    paper: bool = False,
    title: str = "",
    references: Sequence[Path] = (),
) -> Path:
    """Write the page `out`, and into a folder beside it, of the same name without suffix, pictures and CSV files.

    Args:
        folder: The folder of a sweep, whose finished cells are reported.
        out: The file of the page, `….md`.
        command: The command that the page names as the one that made it.
        paper: Whether to print the published figures too.
        title: What the page is about, where other pages are about the same model.
        references: Results files of lm-eval's model `hf`; each becomes a line in the pictures of the tasks that it
            holds.

    Returns:
        The page.

    Raises:
        SweepError: There is no sweep, no finished cell, a damaged file, or no matplotlib.
    """
    found, record = _found(folder, out)
    compared = [one for path in references for one in figures.read(path)]
    beside = out.with_suffix("")
    pictures = []
    for section, slug in zip(found, _slugs(found), strict=True):
        figures.frontier(beside / slug, section, [one for one in compared if one.task == section.questions])
        pictures.append(f"{beside.name}/{slug}")
    _write_csv(beside / "results.csv", _results(found))
    _write_csv(beside / "paired.csv", _paired(found))
    _write_csv(beside / "aup.csv", _aups(found))
    write_text(out, page(found, record, pictures, command, paper, title))
    return out


def write_field(folder: Path, out: Path, *, command: str = "", title: str = "") -> Path:
    """Write the comparison of many planners over many tasks, with pictures and CSV files beside it as `write` does.

    Args:
        folder: The folder of a sweep without a cache or with one, whose finished cells are compared.
        out: The file of the page, `….md`.
        command: The command that the page names as the one that made it.
        title: What the page is about; by default the field of planners.

    Returns:
        The page.

    Raises:
        SweepError: As for `write`; or tasks that are not scored by right answers, or no block length that is finished
            on all of them.
    """
    found, record = _found(folder, out)
    if any(section.unit != "right" or len(section.caches) > 1 for section in found):
        raise SweepError(f"a comparison is of right answers in one cache mode, and {folder} holds something else too")
    found = finished(found)
    beside = out.with_suffix("")
    pictures = []
    for section, slug in zip(found, _slugs(found), strict=True):
        field_figure.frontier(beside / slug, section, DEFAULT)
        pictures.append(f"{beside.name}/{slug}")
    _write_csv(beside / "results.csv", _results(found))
    write_text(out, field_page(found, record, pictures, command, title or "The field of planners"))
    return out


def _found(folder: Path, out: Path) -> tuple[list[Section], dict[str, Any]]:
    """The sections and the record of a sweep that a page can be made of."""
    figures.require_matplotlib()
    if out.suffix != ".md":
        raise SweepError(f"the report is a Markdown page: name it {out.name}.md, not {out.name}")
    store = Store(folder)
    record = store.record()
    found = sections(store.outcomes())
    if not found:
        raise SweepError(f"{folder} has no finished cell yet")
    return found, record


def _slugs(found: Sequence[Section]) -> list[str]:
    """A distinct file name for each section."""
    slugs: list[str] = []
    for section in found:
        slug = re.sub(r"[^a-z0-9]+", "-", f"{section.questions} {section.eos}".lower()).strip("-")
        slugs.append(f"{slug}-{slugs.count(slug) + 1}" if slug in slugs else slug)
    return slugs


def _results(found: Iterable[Section]) -> list[dict[str, object]]:
    """A line for each planner, block length and cache mode, with every measure and its interval."""
    lines = []
    for section in found:
        for result in section.results:
            line: dict[str, object] = {
                **_rules(section),
                "planner": result.planner,
                "cache": result.cache,
                "block_length": result.block_length,
                "seeds": " ".join(map(str, result.seeds)),
                "seconds": result.seconds,
            }
            for name in ("score", *MEASURES):
                measure = result.measures[name]
                line |= {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
            lines.append(line)
    return lines


def _paired(found: Iterable[Section]) -> list[dict[str, object]]:
    """A line for each paired comparison."""
    lines = []
    for section in found:
        for ours, theirs in tables.contests(section) + tables.shortcuts(section):
            pair = paired(ours, theirs)
            lines.append(
                {
                    **_rules(section),
                    "planner": ours.planner,
                    "against": theirs.planner,
                    "cache": ours.cache,
                    "against_cache": theirs.cache,
                    "block_length": ours.block_length,
                    "difference": pair.difference.value,
                    "difference_low": pair.difference.low,
                    "difference_high": pair.difference.high,
                    "only_ours": pair.only_ours,
                    "only_theirs": pair.only_theirs,
                    "p": pair.p,
                }
            )
    return lines


def _aups(found: Iterable[Section]) -> list[dict[str, object]]:
    """A line for each planner and cache mode with its AUP."""
    return [
        {**_rules(section), "planner": planner, "cache": cache, "aup": area.value, "low": area.low, "high": area.high}
        for section in found
        if section.unit == "right"
        for (planner, cache), area in aups(section).items()
    ]


def _rules(section: Section) -> dict[str, object]:
    names = ("questions", "unit", "problems", "max_new_tokens", "eos", "temperature", "batch_size", "chat")
    return {name: getattr(section, name) for name in names}


def _write_csv(path: Path, lines: Sequence[dict[str, object]]) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]) if lines else [])
        writer.writeheader()
        writer.writerows(lines)
