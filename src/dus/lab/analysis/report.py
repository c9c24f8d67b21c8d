"""A folder with all that traces show: tables, pictures, a page that shows them together, and the traces themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dus.lab.analysis import mistakes, summary
from dus.lab.analysis.errors import ERROR_KINDS
from dus.lab.analysis.files import save
from dus.lab.analysis.pictures import certainty, positions
from dus.lab.analysis.pictures import mistakes as error_pictures
from dus.lab.analysis.pictures.film import film
from dus.lab.analysis.pictures.player import page
from dus.lab.analysis.traced import Traced
from dus.writing.style import write_bytes
from dus.writing.tables import Table

_COUNTING = {
    False: "All generated positions count, those behind the end token included.",
    True: "Only what stands before each answer's first end token counts.",
}
_FIRST = """## Where wrong answers come from

The first error of each wrong answer, by kind; and how many of them the last step of their block wrote, beside the share
of all tokens that last steps write:"""
_EARLY = """A result is *early* where a token of it was written before, or in the same step as, a token that it follows
from. How many are, of the wrong and of the right ones; and how many are wrong, of the early and of the other ones:"""


def tables(runs: Sequence[Traced], *, errors: bool = False, before_end: bool = False) -> list[str | Table]:
    """The paper's table, and if asked for those of `dus.lab.analysis.mistakes`, between sentences in Markdown.

    Raises:
        AnalysisError: Errors are asked for and an answer has no worked solution; or nothing stands before the end.
    """
    answers = len(runs[0].answers)
    intervals = " 95% intervals by bootstrap over the answers." if answers > 1 else ""
    counting = f"{answers} answer{'s' * (answers > 1)} a line.{intervals} {_COUNTING[before_end]}"
    found: list[str | Table] = [counting, summary.as_table(map(summary.summarise, _counting(runs, before_end)))]
    if errors:
        wrong = [mistakes.mistakes(run) for run in runs]
        kinds = "\n".join(f"- *{kind}*: {meaning}" for kind, meaning in ERROR_KINDS.items())
        found += [_FIRST, mistakes.where(wrong), kinds, _EARLY, mistakes.order(wrong)]
    return found


def markdown(sections: Iterable[str | Table]) -> str:
    """Sentences and tables as one Markdown text."""
    return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in sections) + "\n"


def write(
    folder: Path, runs: Sequence[Traced], *, command: str, errors: bool = False, before_end: bool = False
) -> Path:
    """Write the folder: tables, pictures, traces, and `analysis.md`, which shows them together. Returns its path.

    Args:
        folder: The folder, which is made where it is missing.
        runs: Planners at block lengths, all on the same prompts.
        command: The command that makes the folder, for the page.
        errors: Whether to say where wrong answers come from.
        before_end: Whether tables and distances leave out what stands behind the end token.

    Raises:
        AnalysisError: As `tables`.
    """
    found = tables(runs, errors=errors, before_end=before_end)
    counted = _counting(runs, before_end)
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "traces.json", list(runs))
    _put(folder / "spacing.csv", summary.as_csv(map(summary.summarise, counted)))
    pictures = _errors(folder, runs) if errors else []
    pictures += _spread(folder, counted)
    for length in _lengths(runs):
        pictures += _one_answer(folder, [run for run in runs if run.block_length == length])
    return _put(folder / "analysis.md", markdown([_head(command), *found, *pictures]))


def counted_tables(sections: Mapping[str, Sequence[summary.Summary]]) -> list[str | Table]:
    """The paper's table from counts, a section for each title."""
    found: list[str | Table] = [f"95% intervals by bootstrap over the answers. {_COUNTING[False]}"]
    for title, lines in sections.items():
        found += [f"## {title}", summary.as_table(lines)]
    return found


def write_counted(folder: Path, sections: Mapping[str, Sequence[summary.Summary]], *, command: str) -> Path:
    """Write the tables of counts to a folder, as `analysis.md` and a CSV a section. Returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, lines in enumerate(sections.values(), start=1):
        _put(folder / f"spacing-{number}.csv", summary.as_csv(lines))
    return _put(folder / "analysis.md", markdown([_head(command), *counted_tables(sections)]))


def _head(command: str) -> str:
    return f"# How planners spread their picks\n\nMade by\n\n    {command}"


def _counting(runs: Sequence[Traced], before_end: bool) -> list[Traced]:
    return [run.before_end() if before_end else run for run in runs]


def _errors(folder: Path, runs: Sequence[Traced]) -> list[str]:
    """Pictures of what went wrong."""
    found = [mistakes.mistakes(run) for run in runs]
    _put(folder / "errors.csv", mistakes.as_csv(found))
    error_pictures.early_results(folder / "early", found)
    lines = ["![Share of wrong results, early and other ones](early.png)"]
    for length in _lengths(runs):
        here = [number for number, run in enumerate(runs) if run.block_length == length]
        path = folder / f"errors-{length}"
        error_pictures.first_errors(path, [runs[at] for at in here], [found[at] for at in here])
        lines.append(f"![First errors in blocks of {length}](errors-{length}.png)")
    return lines


def _spread(folder: Path, counted: Sequence[Traced]) -> list[str]:
    """Distances, and scores over steps where they were kept."""
    lines = ["## Distances and certainty"]
    if positions.distances(folder / "distances", counted):
        lines.append("![Distances of positions unmasked together](distances.png)")
    scored = [run for run in counted if any(np.isfinite(answer.entropy).any() for answer in run.answers)]
    if scored:
        certainty.over_steps(folder / "over-steps", scored)
        lines.append("![Entropy and confidence over the steps of a block](over-steps.png)")
    return lines


def _one_answer(folder: Path, runs: Sequence[Traced]) -> list[str]:
    """Pictures of the first answer under each planner."""
    length = runs[0].block_length
    positions.positions(folder / f"positions-{length}", runs)
    lines = [f"## One answer in blocks of {length}", f"![Positions over steps](positions-{length}.png)"]
    observed = [run for run in runs if run.answers[0].entropies is not None]
    if observed:
        certainty.entropy_map(folder / f"entropy-{length}", observed)
        lines.append(f"![Entropy of each position before each step](entropy-{length}.png)")
    if all(any(run.answers[0].pieces) for run in runs):
        film(folder / f"generation-{length}.gif", runs)
        page(folder / f"generation-{length}.html", runs)
        lines.append(f"![Token by token](generation-{length}.gif)")
        lines.append(f"[The same with a slider](generation-{length}.html)")
    return lines


def _lengths(runs: Sequence[Traced]) -> list[int]:
    return sorted({run.block_length for run in runs})


def _put(path: Path, text: str) -> Path:
    return write_bytes(path, lambda partial: partial.write_bytes(text.encode()))
