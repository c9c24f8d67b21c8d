"""What `dus theory order` says: the same groups in one order and another."""

from __future__ import annotations

from collections.abc import Sequence

from dus.lab.theory.order import Ordered
from dus.lab.theory.report.tables import listed, nats
from dus.writing.tables import markdown


def section(found: Sequence[Ordered]) -> str:
    """The table of one block length, and what is more than noise in it, as Markdown."""
    rows = [
        (f"`{each.planner}`", f"{each.calls:.1f}", f"{nats(each.lost.nats)} ± {nats(each.lost.error)}", _behind(each))
        for each in found
    ]
    better = [f"`{each.planner}`" for each in found if each.behind.nats < -2 * each.behind.error]
    worse = [f"`{each.planner}`" for each in found if each.behind.nats > 2 * each.behind.error]
    return f"""## Blocks of {found[0].block_length}, of {found[0].texts} texts

{markdown(("planner", "calls", "lost, nats a token", "above DUS"), rows)}

- Less than DUS, by more than two standard errors: {listed(better)}.
- More than DUS, likewise: {listed(worse)}.
"""


def page(sections: Sequence[str]) -> str:
    """The sections, under what they are about."""
    return f"""What each planner loses on texts, above token by token, left to right: the texts' own tokens are
revealed as the planner takes their positions, and cost minus the logarithm of their probability then. *Above DUS*: on
the same texts. Means with standard errors.

{"".join(sections)}"""


def _behind(each: Ordered) -> str:
    return "" if each.planner == "dus" else f"{each.behind.nats:+.3f} ± {nats(each.behind.error)}"
