"""The tables of a report, as Markdown, and what the paper reports, to be read beside (arXiv 2506.19037, version 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dus.evaluation.intervals import TOKEN_BY_TOKEN, Interval
from dus.evaluation.report.aup import aups
from dus.evaluation.report.looks import OURS, PANELS, SELF_CONFIDENCE, look
from dus.evaluation.report.results import Result, Section, paired
from dus.planners import DUS, Confidence, Planner, PlannerError, Wrapper, parse
from dus.writing.tables import code, markdown

BLOCKS = (16, 32, 64)
SPACED_PLANNERS = ("DUS", "Conf.", "EB", "CB")

# Accuracy (GSM8K) and pass@1 (MBPP) in percent: token by token, then Conf. and DUS at each block length.
ACCURACY: dict[tuple[str, str], tuple[float, tuple[tuple[float, float], ...]]] = {
    ("GSM8K", "LLaDA-Base"): (72.6, ((51.2, 59.5), (29.0, 49.4), (8.0, 35.2))),
    ("GSM8K", "LLaDA-Instruct"): (80.3, ((61.4, 70.7), (38.7, 65.7), (18.7, 57.1))),
    ("GSM8K", "Dream-Instruct"): (77.1, ((53.2, 56.6), (27.6, 44.7), (17.9, 32.1))),
    ("MBPP", "LLaDA-Base"): (38.0, ((12.8, 31.6), (8.2, 22.6), (3.4, 14.4))),
    ("MBPP", "LLaDA-Instruct"): (39.4, ((17.6, 31.8), (14.0, 23.2), (11.4, 18.6))),
    ("MBPP", "Dream-Instruct"): (56.2, ((23.8, 40.8), (16.4, 26.6), (11.8, 22.2))),
}

# Mean distance of positions unmasked together, LLaDA-Base, in the order of SPACED_PLANNERS.
DISTANCE: dict[tuple[str, int], tuple[float, ...]] = {
    ("MATH500", 16): (6.2, 3.0, 3.5, 4.5),
    ("MATH500", 32): (9.6, 4.1, 4.7, 7.1),
    ("HumanEval", 16): (6.2, 2.8, 4.4, 4.7),
    ("HumanEval", 32): (11.6, 3.7, 6.4, 8.6),
}
NOTES = (
    "These figures are from the paper's tables, for 256 generated tokens. Under DUS no position has a neighbour from "
    "the same step, and under self-confidence about half of the positions have none. With spacing of initial gap 8 in "
    "blocks of 32, LLaDA-Instruct gains 13.4 points on HumanEval under EB (γ = 2) and 12.2 under CB (τ = 0.5). In "
    "blocks of 32 DUS is up to 5.8 times as fast by the clock as one token at a time."
)


def scored(score: Interval, section: Section) -> str:
    """A score with its interval: percent where problems are solved or not, nats otherwise."""
    if section.unit == "right":
        return f"{score.value:.1%} ({100 * score.low:.0f}–{100 * score.high:.0f})"
    return f"{score.value:.3f} ({score.low:.3f}–{score.high:.3f})"


def accuracy(sections: Sequence[Section]) -> str:
    """The paper's first table: token by token, then Conf. → DUS at each block length; empty where none was measured."""
    lengths = sorted({one.block_length for section in sections for one in section.results if one.planner == OURS})
    rows = []
    for name, section, cache in _parts(sections):
        rivals = [
            (section.find(SELF_CONFIDENCE, cache, length), section.find(OURS, cache, length)) for length in lengths
        ]
        pairs = [
            f"{_score(theirs, section)} → {_score(ours, section)}" if theirs and ours else "" for theirs, ours in rivals
        ]
        if any(pairs):
            rows.append([name, _score(_token_by_token(section, cache), section), *pairs])
    rooms = sorted({section.max_new_tokens for section in sections})
    heads = [f"B = {length} (×{speed_ups(rooms, length)})" for length in lengths]
    return markdown(["", "TBT", *heads], rows) if rows else ""


def speed_ups(rooms: Sequence[int], block_length: int) -> str:
    """How many tokens a call DUS writes in rooms of so many tokens, whose last blocks may be shorter, as `8.73`."""
    blocks = [[block_length] * (room // block_length) + [room % block_length] for room in rooms]
    calls = [sum(DUS().num_steps(length) for length in lengths if length) for lengths in blocks]
    found = dict.fromkeys(f"{room / count:.3g}" for room, count in zip(rooms, calls, strict=True) if count)
    return " or ".join(found)


def spacing(sections: Sequence[Section]) -> str:
    """The paper's second table: distance of positions unmasked together, and isolated ones, for plain planners."""
    measured = list(dict.fromkeys(result.planner for section in sections for result in section.results))
    bounded = [planner for planner in measured if planner.startswith(("eb(", "cb(")) and "|" not in planner]
    planners = [planner for planner in (OURS, SELF_CONFIDENCE, *bounded) if planner in measured]
    rows = []
    for name, section, cache in _parts(sections):
        for length in section.block_lengths:
            found = [section.find(planner, cache, length) for planner in planners]
            if any(found):
                rows.append([name, str(length), *map(_spaced, found)])
    return markdown(["", "B", *(look(planner).label for planner in planners)], rows) if rows else ""


def everything(section: Section) -> str:
    """All planners of a section in groups, a column a block length: score with interval, and calls a problem.

    Where there are several cache modes, the time of a problem stands there too.
    """
    several = len(section.caches) > 1
    lengths = section.block_lengths
    head = ["planner", *(["cache"] if several else []), *(f"B = {length}" for length in lengths)]
    rows: list[list[str]] = []
    for panel, title in PANELS.items():
        lines = {line: found for line, found in section.lines.items() if look(line[0]).panel == panel}
        if lines:
            rows.append([f"*{title}*", *[""] * (len(head) - 1)])
        for (planner, cache), found in lines.items():
            by_length = {result.block_length: result for result in found}
            cells = [_cell(by_length.get(length), section, timed=several) for length in lengths]
            rows.append([code(planner), *([f"`{cache}`"] if several else []), *cells])
    return markdown(head, rows, names=2 if several else 1)


def areas(section: Section) -> str:
    """AUP of each planner, with the block lengths that it is made of."""
    several = len(section.caches) > 1
    rows = []
    for (planner, cache), area in aups(section).items():
        lengths = ", ".join(str(result.block_length) for result in section.lines[planner, cache])
        rows.append([code(planner), *([f"`{cache}`"] if several else []), lengths, area.text(1)])
    head = ["planner", *(["cache"] if several else []), "B", "AUP"]
    return markdown(head, rows, names=len(head) - 1)


def contests(section: Section) -> list[tuple[Result, Result]]:
    """DUS in each form and self-confidence with as many calls, at each block length and cache mode."""
    return [
        (result, other)
        for result in section.results
        for rival in _rivals(result.planner)
        if (other := section.find(rival, result.cache, result.block_length))
    ]


def shortcuts(section: Section) -> list[tuple[Result, Result]]:
    """Each planner with kept keys and values, and with none, at each block length and cache mode."""
    return [
        (result, exact)
        for result in section.results
        if result.cache != "none" and (exact := section.find(result.planner, "none", result.block_length))
    ]


def comparison(section: Section, pairs: Sequence[tuple[Result, Result]]) -> str:
    """Whether the first of each pair is better: the paired difference, and McNemar's test where it applies."""
    rows = []
    for ours, theirs in pairs:
        pair = paired(ours, theirs)
        apart = pair.difference.text(1, percent=True) if section.unit == "right" else pair.difference.text(3)
        counts = ["", "", ""] if pair.p is None else [str(pair.only_ours), str(pair.only_theirs), f"{pair.p:.2g}"]
        rows.append(
            [
                code(ours.planner),
                f"`{ours.cache}`",
                code(theirs.planner),
                f"`{theirs.cache}`",
                str(ours.block_length),
                apart,
                *counts,
            ]
        )
    head = [
        "planner",
        "cache",
        "against",
        "cache",
        "B",
        "better by" if section.unit == "right" else "nats more",
        "only it solves",
        "only the other",
        "McNemar's p",
    ]
    return markdown(head, rows, names=4)


def printed() -> str:
    """The paper's own figures, in the layout of the tables above."""
    rows = [
        [f"{data}, {model}", f"{tbt}", *(f"{theirs} → {ours}" for theirs, ours in pairs)]
        for (data, model), (tbt, pairs) in ACCURACY.items()
    ]
    heads = [f"B = {length} (×{length / DUS().num_steps(length):.3g})" for length in BLOCKS]
    distances = [[data, str(length), *map(str, far)] for (data, length), far in DISTANCE.items()]
    first = markdown(["Conf. → DUS, %", "TBT", *heads], rows)
    second = markdown(["distance", "B", *SPACED_PLANNERS], distances)
    return f"{first}\n\n{second}\n\n{NOTES}"


def _parts(sections: Sequence[Section]) -> Iterator[tuple[str, Section, str]]:
    """Each section without a cache, or with the first of those that it has."""
    for section in sections:
        first = section.caches[0]
        yield section.title + ("" if first == "none" else f", cache {first}"), section, first


def _token_by_token(section: Section, cache: str) -> Result | None:
    """Token by token: in blocks of 32 if that was measured, else in the longest."""
    found = section.lines.get((TOKEN_BY_TOKEN, cache), [])
    return min(found, key=lambda result: (result.block_length != 32, -result.block_length), default=None)


def _score(result: Result | None, section: Section) -> str:
    return scored(result.measures["score"], section) if result else ""


def _cell(result: Result | None, section: Section, *, timed: bool) -> str:
    if result is None:
        return ""
    cell = f"{_score(result, section)}, {result.measures['nfe'].value:.1f} calls"
    return cell + (f", {1000 * result.seconds:.0f} ms" if timed else "")


def _spaced(result: Result | None) -> str:
    if result is None:
        return ""
    far, alone = result.measures["distance"], result.measures["isolated"]
    distance = f"{far.value:.1f} ({far.low:.1f}–{far.high:.1f})" if result.counts["pairs"].any() else "–"
    return f"{distance}; {alone.value:.0%} ({100 * alone.low:.0f}–{100 * alone.high:.0f}) alone"


def _rivals(planner: str) -> list[str]:
    """Self-confidence with the counts of the DUS planner inside, and with equal ones; none where it has no counts."""
    try:
        rule: Planner = parse(planner)
    except PlannerError:  # a planner that the user registered elsewhere
        return []
    while isinstance(rule, Wrapper):
        rule = rule.inner
    if not isinstance(rule, DUS) or not rule.scheduled:
        return []
    return list(dict.fromkeys(str(Confidence(like=like)) for like in (rule, replace(rule, groups="residues"))))
