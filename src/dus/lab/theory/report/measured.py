"""What `dus theory order`, `dus theory blocks` and `dus calibrate` say: their tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dus.evaluation.intervals import Accuracy
from dus.lab.theory.calibrate import Calibration
from dus.lab.theory.long import Tried, at_calls
from dus.lab.theory.losses import Ordered
from dus.writing.tables import listed, markdown, nats, spread

TEMPLATES = Path(__file__).parent / "templates"


def right(accuracy: Accuracy) -> str:
    """The share of right answers with its interval."""
    low, high = accuracy.interval()
    return f"{accuracy.share:.1%} ({low:.0%} to {high:.0%})"


def orders(found: Sequence[Ordered]) -> str:
    """The table of one block length, and what is more than noise in it, as Markdown."""
    rows = []
    for each in found:
        behind = "" if each.planner == "dus" else f"{each.behind.nats:+.3f} ± {nats(each.behind.error)}"
        rows.append((f"`{each.planner}`", f"{each.calls:.1f}", spread(each.lost.nats, each.lost.error), behind))
    better = [f"`{each.planner}`" for each in found if each.behind.nats < -2 * each.behind.error]
    worse = [f"`{each.planner}`" for each in found if each.behind.nats > 2 * each.behind.error]
    return f"""## Blocks of {found[0].block_length}, of {found[0].texts} texts

{markdown(("planner", "calls", "lost, nats a token", "above DUS"), rows)}

- Less than DUS, by more than two standard errors: {listed(better)}.
- More than DUS, likewise: {listed(worse)}.
"""


def lengths(found: Sequence[Tried]) -> str:
    """The table by number of calls, and all else against lengths chosen by entropy at the same number, as Markdown."""
    rows = [
        (f"`{each.block_length}`", f"{each.calls:.1f}", f"{each.mean_block:.1f}", right(each.accuracy))
        for each in sorted(found, key=lambda each: each.calls)
    ]
    auto = [each for each in found if str(each.block_length).startswith("auto")]
    words = [_against(each, at_calls(auto, each.calls)) for each in found if each not in auto]
    table = markdown(("block length", "calls a problem", "mean block", "right"), rows)
    return "\n".join([table, "", *(f"- {sentence}" for sentence in words), ""])


def _against(one: Tried, share: float | None) -> str:
    """A fixed length, or one by another rule, beside those chosen by entropy at the same number of calls."""
    name = f"Blocks of {one.block_length}" if isinstance(one.block_length, int) else f"`{one.block_length}`"
    reached = f"{name}: {one.accuracy.share:.1%} at {one.calls:.1f} calls"
    if share is None:
        return f"{reached}; none of the bounds comes near that."
    low, high = one.accuracy.interval()
    where = "above" if share > high else "below" if share < low else "within"
    return f"{reached}. Lengths by entropy reach {share:.1%} there, {where} its interval, between two bounds."


def calibration(found: Calibration) -> str:
    """The options, the one that was taken, and its levels, as Markdown."""
    rows = []
    for option in found.options:
        lost, mark = spread(option.loss.nats, option.loss.error), "×" if option is found.chosen else ""
        rows.append((f"`{option.name}`", option.block_length, len(option.levels), option.calls, lost, mark))
    places = range(found.chosen.block_length)
    levels = "\n".join("".join("■" if at in level else "·" for at in places) for level in found.chosen.levels)
    head = ("schedule", "block length", "steps", f"calls for {found.tokens} tokens", "lost, nats a token", "taken")
    return f"""{markdown(head, rows)}

What is lost is above the cost of one token at a time, from left to right. It was measured on {found.texts} texts that
the levels were not made from.

```
{levels}
```
"""
