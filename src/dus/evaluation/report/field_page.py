"""The page of a comparison of many planners over many tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from dus.evaluation.report import tables
from dus.evaluation.report.field import SLACK, Match, Overall, Suite, family, matches
from dus.evaluation.report.page import circumstances, commands, rules
from dus.evaluation.report.results import Result, Section
from dus.planners import parse
from dus.writing.tables import code, markdown

DEFAULT = str(parse("deb"))
NEAR = 0.02
"""How far below the most right answers a planner may stay that is looked for because it is fast."""

TOKENS, ASKED, SECONDS = 256, 100, 0.05
"""Of the estimate for a large model: tokens of an answer, problems, and seconds of a call, which are assumed."""

LEGEND = f"""\
- *Calls* are the mean number of denoiser calls for a problem. A *family* is a planner with all of its settings that
  were run.
- *AUP* is the area under accuracy over tokens a call, with low accuracy counting less (arXiv 2601.07568). It is taken
  over the points of a family, settings and block lengths alike, that no other point of the family beats, and averaged
  over tasks.
- *At equal calls* means in at most {SLACK:.0%} more. The best peer is chosen among all other families, on the same
  problems on which it is compared, so the comparison favours the peer. McNemar's exact test counts the problems that
  only one of the two solves. Its p is not corrected for the number of tests.
- Intervals are 95%: Wilson's for right answers, Newcombe's for differences, and for all else by bootstrap over the
  problems of each task, with the same draws for every planner.
- Seconds are left out: planners cost next to nothing beside a denoiser, so their calls are what differs. Block lengths
  that are not finished are left out, too. The CSV files beside this page's pictures hold everything."""


def field_page(
    sections: Sequence[Section], record: dict[str, Any], pictures: Sequence[str], command: str, title: str
) -> str:
    """The comparison as Markdown.

    Args:
        sections: On different tasks, each scored by right answers.
        record: The record of the sweep.
        pictures: For each section the address of its picture, without suffix.
        command: The command that made the page.
        title: What the page is about, before the name of the model.
    """
    suite, met = Suite(sections), list(matches(sections, DEFAULT))
    parts = [
        f"# {title} on `{record['model']['name']}`",
        f"This page compares {len(suite.areas)} families of planners on {len(sections)} tasks: by right answers over "
        "denoiser calls, and our default with the best of the others. Made by\n\n"
        f"    {command}\n\nfrom a sweep whose commands stand at the end. {rules(sections)}",
        "## In short",
        "\n".join(f"- {sentence}" for sentence in in_words(suite, met)),
        "## Which planner when",
        "For each task, the table has the setting with the most right answers, the setting with the fewest calls "
        f"within {100 * NEAR:g} points of that, and our default, `{DEFAULT}`, at the block length where it has the "
        "most right answers.",
        which(sections),
        "The next table is for those who take one setting for all tasks. It has the settings that no other one beats "
        "in both the mean share of right answers and the mean number of calls, and our default at each block length.",
        one_for_all(suite),
        "## Accuracy under parallelism",
        areas(suite),
        *areas_by_task(suite),
        "## Our default against the best peer at equal calls",
        contests(met),
    ]
    for section, picture in zip(sections, pictures, strict=True):
        title = f"## {section.title[:1].upper()}{section.title[1:]}"
        parts += [title, f"![Accuracy over calls: {section.title}]({picture}.png)", tables.everything(section)]
    parts += ["## How to read this", LEGEND, "## What it cannot say", limits(suite, record)]
    swept = "\n".join(f"    {line}" for line in commands(record))
    parts += ["## What it was run on", circumstances(record), *([f"The sweep was run by\n\n{swept}"] if swept else [])]
    return "\n\n".join(parts) + "\n"


def in_words(suite: Suite, met: Sequence[Match]) -> Iterator[str]:
    """What the tables show, a sentence at a time."""
    ours = family(DEFAULT)
    if ours not in suite.areas:
        return
    ranked = sorted(suite.areas, key=lambda name: -suite.areas[name][0])
    rival = next((name for name in ranked if name != ours), None)
    if rival is not None:
        yield (
            f"In AUP over {len(suite.sections)} tasks `{ours}` has {suite.area(ours).text(1)}, which is place "
            f"{ranked.index(ours) + 1} of {len(ranked)}. The best other family is `{rival}` with "
            f"{suite.area(rival).text(1)}. Ours is {suite.area(ours, rival).text(2)} times that."
        )
    ahead = [match for match in met if match.pair.difference.low > 0]
    behind = [match for match in met if match.pair.difference.high < 0]
    level = len(met) - len(ahead) - len(behind)
    yield (
        f"On each task and at each block length, `{DEFAULT}` is compared with the best peer at equal calls. It is "
        f"ahead beyond noise in {len(ahead)} of {len(met)} comparisons and behind in {len(behind)}. In {level}, no "
        "difference shows."
    )
    for one in (each for each in suite.overall if each.planner == DEFAULT):
        above = [other for other in suite.overall if other.planner != DEFAULT and other.beats(one)]
        best = max(above, key=lambda other: other.score.value, default=None)
        yield (
            f"As one setting for all tasks, in blocks of {one.block_length}, `{DEFAULT}` has {_share(one)} "
            f"right answers at {one.calls:.1f} calls. "
            + ("No other setting beats it in both." if best is None else f"In both it is beaten by {_named(best)}.")
        )


def which(sections: Sequence[Section]) -> str:
    """For each task the settings that a user may want."""
    rows = []
    for section in sections:
        most = max(section.results, key=lambda one: (one.score.mean(), -one.measures["nfe"].value))
        near = [one for one in section.results if one.score.mean() >= most.score.mean() - NEAR]
        fast = min(near, key=lambda one: one.measures["nfe"].value)
        own = [one for one in section.results if one.planner == DEFAULT]
        ours = max(own, key=lambda one: (one.score.mean(), -one.measures["nfe"].value), default=None)
        rows.append([section.title, *(cell for one in (most, fast, ours) for cell in _chosen(one))])
    titles = ("most right answers", "fast and nearly as good", "our default")
    return markdown(["task", *(cell for title in titles for cell in (title, "right", "calls"))], rows)


def one_for_all(suite: Suite) -> str:
    """The settings that no other one beats over all tasks, and our default at each block length."""
    kept = {id(one) for one in suite.frontier}
    rows = [
        [
            code(one.planner),
            str(one.block_length),
            f"{one.score.value:.1%} ({100 * one.score.low:.0f}–{100 * one.score.high:.0f})",
            f"{one.calls:.2f}",
            "unbeaten" if id(one) in kept else "beaten",
        ]
        for one in suite.overall
        if id(one) in kept or one.planner == DEFAULT
    ]
    return markdown(["planner", "B", "right, mean over tasks", "calls", ""], rows)


def areas(suite: Suite) -> str:
    """AUP of each family, the largest first."""
    best = max((name for name in suite.areas if name != family(DEFAULT)), key=lambda name: suite.areas[name][0])
    rows = [
        [code(name), suite.area(name).text(1), suite.area(name, best).text(2)]
        for name in sorted(suite.areas, key=lambda name: -suite.areas[name][0])
    ]
    return markdown(["family", "AUP, mean over tasks", f"times that of {code(best)}"], rows)


def areas_by_task(suite: Suite) -> Iterator[str]:
    """AUP on each task, of our family and of the best other one."""
    ours, rows = family(DEFAULT), []
    if ours not in suite.areas:
        return
    for number, section in enumerate(suite.sections):
        others = (name for name in suite.areas if name != ours)
        best = max(others, key=lambda name: suite.areas_by_task[name][number, 0])
        areas = [suite.area(name, task=number).text(0) for name in (ours, best)]
        factor = suite.area(ours, best, number).text(2) if suite.areas_by_task[best][number].min() > 0 else ""
        rows.append([section.title, areas[0], code(best), areas[1], factor])
    yield (
        "The next table has the area on each task by itself, beside that of the best other family there. A family that "
        "solves everything in a single call for each block cannot be surpassed."
    )
    yield markdown(["task", code(ours), "best other", "its AUP", f"times that, {code(ours)}"], rows)


def contests(met: Sequence[Match]) -> str:
    """A line for each match."""
    rows = []
    for match in met:
        ours, theirs, pair = match.ours, match.theirs, match.pair
        counts = ["", "", ""] if pair.p is None else [str(pair.only_ours), str(pair.only_theirs), f"{pair.p:.2g}"]
        rows.append(
            [
                match.section.title,
                code(theirs.planner),
                str(ours.block_length),
                f"{_right(ours)}, {ours.measures['nfe'].value:.1f} calls",
                f"{_right(theirs)}, {theirs.measures['nfe'].value:.1f} calls",
                pair.difference.text(1, percent=True),
                *counts,
            ]
        )
    head = ["task", "best peer", "B", "ours", "the peer", "better by", "only ours", "only the peer", "McNemar's p"]
    return markdown(head, rows, names=2)


def limits(suite: Suite, record: dict[str, Any]) -> str:
    """What one small model on generated problems does not tell, and what it takes to ask a large one."""
    tasks, settings = len(suite.sections), len(suite.settings)
    per_token = float((1 / suite.speed[:, 0, :]).mean(axis=0).sum())
    calls = per_token * TOKENS
    hours = calls * ASKED * SECONDS / 3600
    problems = sorted({section.problems for section in suite.sections})
    lengths = ",".join(map(str, sorted({length for _, length in suite.settings})))
    preset = next((found[1] for line in commands(record) if (found := re.search(r"--preset (\S+)", line))), "field")
    on_llada = (
        f"dus eval --preset {preset} --model GSAI-ML/LLaDA-8B-Instruct --task gsm8k --data-dir data --chat "
        f"--limit {ASKED} --block-length {lengths} --max-new-tokens {TOKENS} --out results/{preset}-llada"
    )
    return f"""This page is about one model, `{record["model"]["name"]}`, which was trained on problems of the
same generators. With {" or ".join(map(str, problems))} problems a cell on {tasks} tasks, differences below about
{100 / problems[0] ** 0.5:.0f} points on one task are noise. Which tokens of a text depend on each other is a property
of the text and the model, so a large model on real text may rank these planners otherwise. Our default was chosen on
problems that the same generators made from training seeds. The peers' settings are those of their papers and published
code. So ours is fitted to these tasks, and theirs are not. Nothing here says anything about temperatures above 0.

These commands make the same comparison on LLaDA-8B and GSM8K, and go on where they were stopped:

    {on_llada}
    dus report results/{preset}-llada --field

At this model's tokens a call, the {settings} settings measured here would together take {calls:,.0f} calls for an
answer of {TOKENS} tokens. For {ASKED} problems, one row at a time and at an assumed {SECONDS} seconds a call, that is
{hours:.1f} hours.
`dus bench --shape llada-8b` measures the seconds of a call on a machine."""


def _chosen(one: Result | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", ""
    return f"{code(one.planner)}, B = {one.block_length}", _right(one), f"{one.measures['nfe'].value:.1f}"


def _right(one: Result) -> str:
    score = one.measures["score"]
    return f"{score.value:.1%} ({100 * score.low:.0f}–{100 * score.high:.0f})"


def _share(one: Overall) -> str:
    return one.score.text(1, percent=True)


def _named(one: Overall) -> str:
    return f"`{one.planner}` in blocks of {one.block_length} ({one.score.value:.1%} at {one.calls:.1f})"
