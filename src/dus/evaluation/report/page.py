"""The page of a report, from its sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dus.evaluation.report import tables
from dus.evaluation.report.results import Result, Section, paired
from dus.writing.tables import listed

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
    title: str = "",
) -> str:
    """The report as Markdown.

    Args:
        sections: The sections of the page, at least one.
        record: The record of the sweep.
        pictures: For each section the address of its picture, without suffix.
        command: The command that made the page.
        paper: Whether to print the paper's figures.
        title: What the page is about, where other pages are about the same model.
    """
    name = record["model"]["name"]
    parts = [
        f"# {title}: planners on `{name}`" if title else f"# Planners on `{name}`",
        asked(sections, name),
        *(["\n".join(f"- {sentence}" for sentence in said)] if (said := list(in_words(sections))) else []),
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


def asked(sections: Sequence[Section], model: str) -> str:
    """What was measured."""
    results = [result for section in sections for result in section.results]
    planners = list(dict.fromkeys(result.planner for result in results))
    lengths = sorted({result.block_length for result in results})
    caches = list(dict.fromkeys(cache for section in sections for cache in section.caches))
    tasks = list(dict.fromkeys(section.questions.replace(", level", " of level") for section in sections))
    solved = all(section.unit == "right" for section in sections)
    counted = f"how many problems `{model}` solves" if solved else f"what `{model}` scores"
    under = f"{len(planners)} planners" if planners[1:] else f"`{planners[0]}`"
    modes = f", in the cache modes {listed([f'`{cache}`' for cache in caches])}" if caches[1:] else ""
    return (
        f"This page says {counted}, and in how many denoiser calls, under {under} in blocks of "
        f"{listed(list(map(str, lengths)))}{modes}. {'The tasks are' if tasks[1:] else 'The task is'} {listed(tasks)}."
    )


def in_words(sections: Sequence[Section]) -> Iterator[str]:
    """What the tables show, a sentence at a time."""
    for section in (one for one in sections if one.unit == "right"):
        best = max(section.results, key=lambda one: (one.score.mean(), -one.measures["nfe"].value))
        cache = f" with the cache `{best.cache}`" if section.caches[1:] else ""
        yield (
            f"{section.title[:1].upper()}{section.title[1:]}: `{best.planner}` in blocks of {best.block_length}{cache} "
            f"has the most right answers, {best.score.mean():.1%} in {best.measures['nfe'].value:.1f} calls a problem."
        )
    ahead, behind, pairs = _counted(sections, tables.contests)
    if pairs:
        yield (
            f"DUS against self-confidence at as many calls, on the same problems: ahead beyond noise in {ahead} of "
            f"{pairs} comparisons, behind in {behind}."
        )
    more, fewer, pairs = _counted(sections, tables.shortcuts)
    if pairs:
        yield (
            f"A cache against none, on the same problems: fewer right answers beyond noise in {fewer} of {pairs} "
            f"comparisons, more in {more}."
        )


def _counted(
    sections: Sequence[Section], pairs: Callable[[Section], list[tuple[Result, Result]]]
) -> tuple[int, int, int]:
    """In how many pairs the interval of the difference is above 0, in how many below it, and how many there are."""
    right = [section for section in sections if section.unit == "right"]
    found = [paired(*pair).difference for section in right for pair in pairs(section)]
    return sum(one.low > 0 for one in found), sum(one.high < 0 for one in found), len(found)


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
