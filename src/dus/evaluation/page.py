"""The tables of a sweep as Markdown, and the sentences that its numbers allow."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dus.evaluation.sweep import Outcome


def table(outcomes: Iterable[Outcome]) -> str:
    """One line a planner and cache mode, one column a block length: accuracy, its 95% interval, and NFE below."""
    outcomes = list(outcomes)
    lengths = sorted({outcome.cell.block_length for outcome in outcomes})
    rows: dict[tuple[str, str], dict[int, Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.cell.planner, outcome.cell.cache), {})[outcome.cell.block_length] = outcome
    several = len({cache for _, cache in rows}) > 1
    head = ["planner", *(["cache"] if several else []), *(f"block {length}" for length in lengths)]
    lines = [_line(head), _line(["---"] * (len(head) - len(lengths)) + ["---:"] * len(lengths))]
    for (planner, cache), cells in rows.items():
        named = [f"`{planner}`".replace("|", "\\|"), *([f"`{cache}`"] if several else [])]
        lines.append(_line([*named, *(_figures(cells.get(length)) for length in lengths)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    low, high = outcome.accuracy.interval()
    return f"{outcome.accuracy.share:.1%} ({low:.0%} to {high:.0%}), {outcome.nfe:.1f} calls"


def paired(ours: Outcome, theirs: Outcome) -> tuple[int, int, float]:
    """Problems that only ours solves, that only theirs solves, and McNemar's exact two-sided p (binomial).

    Raises:
        ValueError: where the two are not about the same problems.
    """
    pairs = list(zip(ours.samples, theirs.samples, strict=True))
    if any(one["question"] != other["question"] for one, other in pairs):
        raise ValueError("a paired test needs outcomes on the same problems, in the same order")
    only_ours = sum(one["right"] and not other["right"] for one, other in pairs)
    only_theirs = sum(other["right"] and not one["right"] for one, other in pairs)
    n, k = only_ours + only_theirs, min(only_ours, only_theirs)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return only_ours, only_theirs, min(1.0, 2 * tail)


def comparison(outcomes: Iterable[Outcome], planner: str, other: str) -> str:
    """For each block length and cache mode, the paired test of two planners, as Markdown."""
    found = {(o.cell.planner, o.cell.block_length, o.cell.cache): o for o in outcomes}
    lines = [
        _line(["block", "cache", f"only `{planner}`", f"only `{other}`", "McNemar's p"]),
        _line(["---:", "---", "---:", "---:", "---:"]),
    ]
    for (name, length, cache), outcome in found.items():
        rival = found.get((other, length, cache))
        if name == planner and rival is not None:
            only_ours, only_theirs, p = paired(outcome, rival)
            lines.append(_line([str(length), f"`{cache}`", str(only_ours), str(only_theirs), f"{p:.2g}"]))
    return "\n".join(lines)
