"""What `dus theory long` says: dependence and losses as the context grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.gap import Mean
from dus.lab.theory.long import Answered, Context
from dus.lab.theory.report.figures import panels
from dus.lab.theory.report.gap import fitted
from dus.lab.theory.report.tables import nats
from dus.writing.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def section(found: Sequence[Context]) -> str:
    """Tables and sentences on dependence and losses, as Markdown."""
    spacings = [pair.spacing for pair in found[0].pairs]
    planners = list(found[0].lost)
    head = (
        "known tokens",
        "cost of a token",
        *(f"`{planner}` loses" for planner in planners),
        *(f"pairs at {spacing}" for spacing in spacings),
        "ρ of C ρ^s",
    )
    rows = [
        (
            each.tokens,
            _mean(each.cost),
            *(_mean(Mean.of(each.lost[planner])) for planner in planners),
            *(_mean(Mean.of(pair.divergence)) for pair in each.pairs),
            _rate(each),
        )
        for each in found
    ]
    return f"""{markdown(head, rows)}

- {_tail(found[0], found[-1])}
- {_losses(found[0], found[-1], planners[0])}
"""


def page(body: str, answered: str, picture: str, found: Sequence[Context], block_length: int) -> str:
    """The sections with their picture, under what they are about."""
    pairs = len(found[0].pairs[0].divergence)
    also = "" if pairs == found[0].texts else f" (pairs: of {pairs} texts)"
    return f"""The same blocks of {block_length} tokens of {found[0].texts} texts{also}, and more and more of
what stands before them is known. Nats, with standard errors: the cost of a token, one by one from left to right; what
DUS, and groups of neighbours in as many calls, lose above that, a token; the divergence of drawing two tokens of a
block at once from drawing them one by one, by their spacing, and the rate of the exponential next to it, with its 95%
interval; *no* says that an exponential does not fit.

![Divergence of pairs over their spacing, by known tokens]({picture}.png)

{body}
{answered}"""


def answers(found: Sequence[Answered], limit: int) -> str:
    """Right answers as prompts grow by other problems, solved."""
    if not found:
        return ""
    planners = list(dict.fromkeys(each.planner for each in found))
    turns = list(dict.fromkeys(each.turns for each in found))
    by = {(each.turns, each.planner): each for each in found}
    rows = [(count, *(_answered(by[count, planner]) for planner in planners)) for count in turns]
    return f"""## Answers

The first {limit} held-out problems behind other problems with their solutions, as earlier turns of the chat: right
answers with Wilson's 95% interval, and denoiser calls.

{markdown(("solved problems before", *(f"`{planner}`" for planner in planners)), rows)}
"""


def draw(folder: Path, name: str, found: Sequence[Context]) -> None:
    """Write `name.png`: the divergence of pairs over their spacing, a panel for each context.

    Raises:
        TheoryError: matplotlib is not installed.
    """
    titles = {f"{each.tokens} known tokens": each for each in found}

    def panel(axis: Axes, title: str) -> None:
        pairs = titles[title].pairs
        places = [pair.spacing for pair in pairs]
        means = [Mean.of(pair.divergence) for pair in pairs]
        middle = np.array([mean.nats for mean in means])
        spread = np.minimum(1.96 * np.array([mean.error for mean in means]), 0.999 * middle)
        axis.errorbar(places, middle, yerr=spread, fmt="o-", label="divergence of pairs")
        axis.set_yscale("log")
        axis.set_xlabel("spacing s")

    panels(folder, name, list(titles), panel)


def _mean(mean: Mean) -> str:
    return f"{nats(mean.nats)} ± {nats(mean.error)}"


def _rate(context: Context) -> str:
    curves = fitted(context.pairs).get(2)
    if curves is None:
        return "none"
    fit = curves[0]
    return f"{fit.shape:.2f} ({fit.low:.2f} to {fit.high:.2f}){'' if fit.holds else ', no'}"


def _answered(each: Answered) -> str:
    low, high = each.accuracy.interval()
    return f"{each.accuracy.share:.1%} ({low:.0%} to {high:.0%}), {each.calls:.1f} calls"


def _tail(short: Context, long: Context) -> str:
    """How dependence falls behind the shortest and behind the longest context."""
    near, far = short.pairs[0].spacing, short.pairs[-1].spacing
    parts = [
        f"from {nats(Mean.of(each.pairs[0].divergence).nats)} to {nats(Mean.of(each.pairs[-1].divergence).nats)} nats "
        f"behind {each.tokens} known tokens"
        for each in (short, long)
    ]
    return f"From spacing {near} to {far} dependence goes {' and '.join(parts)}."


def _losses(short: Context, long: Context, planner: str) -> str:
    """Whether DUS loses more behind the longer context, and whether that could be chance."""
    before, after = short.lost[planner], long.lost[planner]
    change = Mean.of(after - before)  # text by text, as what makes one hard to guess makes it so behind both
    sure = "more than noise" if abs(change.nats) > 2 * change.error else "within noise"
    return (
        f"`{planner}` loses {nats(before.mean())} nats a token behind {short.tokens} known tokens and "
        f"{nats(after.mean())} behind {long.tokens}: a change of {change.nats:+.3f} ± {nats(change.error)} on the same "
        f"blocks, {sure}."
    )
