"""The page of a report, from its sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dus.evaluation.report import tables
from dus.evaluation.report.results import Section

LEGEND = """\
- *B* is the block length. *Calls* are the mean number of denoiser calls for a problem.
- With *end tokens respected* a row ends with the block that holds its end token. With *end tokens ignored* every block
  is decoded.
- *TBT* is one token at a time, and *Conf.* is self-confidence with as many tokens in each step as DUS. In the table of
  these, Conf. stands before the arrow and DUS behind it, and × says how many tokens DUS writes in a call.
- The table on distances begins with the mean distance of two positions of a block that one step unmasked together.
  *Alone* is the share of positions of which no neighbour was unmasked at the same step.
- *AUP* is the area under accuracy over tokens a call, with low accuracy counting less (arXiv 2601.07568), over the
  block lengths named.
- Intervals are 95%: Wilson's for right answers, Newcombe's for their differences, and by bootstrap over problems for
  all else.
- Where a planner that draws was run with several seeds, its figures are the means over these. The CSV files beside this
  page's pictures hold everything."""


def page(
    sections: Sequence[Section],
    record: dict[str, Any],
    pictures: Sequence[str],
    command: str,
    paper: bool,
) -> str:
    """The report as Markdown.

    Args:
        sections: The sections of the page, at least one.
        record: The record of the sweep.
        pictures: For each section the address of its picture, without suffix.
        command: The command that made the page.
        paper: Whether to print the paper's figures.
    """
    parts = [
        f"# Planners on `{record['model']['name']}`",
        "Made by\n\n" + "\n".join(f"    {line}" for line in [*commands(record), command]),
        rules(sections),
    ]
    if rivals := tables.accuracy(sections):
        parts += ["## Token by token, self-confidence, DUS", rivals]
    if spacing := tables.spacing(sections):
        parts += ["## How far apart the tokens of a step are", spacing]
    if paper:
        parts += ["## As published (Luxembourg et al., arXiv 2506.19037, version 4)", tables.printed()]
    for section, picture in zip(sections, pictures, strict=True):
        parts += _section(section, picture)
    parts += ["## How to read this", LEGEND, "## What it was run on", circumstances(record)]
    return "\n\n".join(parts) + "\n"


def circumstances(record: dict[str, Any]) -> str:
    """Model, software and machine; a line for each way in which the sessions of the sweep differ."""
    model = record["model"]
    lines = [f"- model `{model['name']}`, fingerprint `{model.get('fingerprint')}`, dtype {model.get('dtype')}"]
    for session in record["sessions"]:
        versions = ", ".join(f"{name} {number}" for name, number in session.get("versions", {}).items())
        hardware = session.get("hardware", {})
        devices = hardware.get("gpus") or [f"{hardware.get('cores')} cores of {hardware.get('processor')}"]
        line = f"- {', '.join(devices)}; {session.get('engine')}; {versions}; revision `{session.get('git')}`"
        if line not in lines:
            lines.append(line)
    if len(lines) > 2:
        lines.append("- The machines or versions differ: seconds of different planners may not be comparable.")
    return "\n".join(lines)


def commands(record: dict[str, Any]) -> list[str]:
    """The commands that the sweep was run by, each once."""
    return list(dict.fromkeys(session["command"] for session in record["sessions"] if session.get("command")))


def rules(sections: Sequence[Section]) -> str:
    """What is the same in all cells, and what is not."""
    caches = sorted({result.cache for section in sections for result in section.results})
    problems = sorted({section.problems for section in sections})
    room = sorted({section.max_new_tokens for section in sections})
    heat = sorted({section.temperature for section in sections})
    batches = sorted({section.batch_size for section in sections})
    return (
        f"Each cell is of {_listed(problems)} problems, with {_listed(room)} new tokens, cache {_listed(caches)}, "
        f"temperature {_listed(heat)} and batches of {_listed(batches)}."
    )


def _listed(values: Sequence[object]) -> str:
    return " or ".join(f"`{value}`" if isinstance(value, str) else f"{value:g}" for value in values)


def _section(section: Section, picture: str) -> list[str]:
    parts = [f"## {section.title[:1].upper()}{section.title[1:]}"]
    parts.append(f"![Accuracy over calls and over seconds: {section.title}]({picture}.png)")
    parts.append(tables.everything(section))
    if tables.contests(section):
        question = "Does DUS beat self-confidence? Each row compares two planners on the same problems:"
        parts += [question, tables.comparison(section, tables.contests(section))]
    if tables.shortcuts(section):
        question = "Does a cache cost right answers? Each row compares the same problems with and without it:"
        parts += [question, tables.comparison(section, tables.shortcuts(section))]
    if section.unit == "right":
        parts += ["Accuracy under parallelism:", tables.areas(section)]
    return parts
