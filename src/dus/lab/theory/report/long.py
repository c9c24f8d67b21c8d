"""What `dus theory long` says: dependence and losses as the context grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dus.lab.theory.gap import Mean
from dus.lab.theory.long import Answered, Context
from dus.lab.theory.report.gap import cell, fitted, over_spacing
from dus.lab.theory.report.measured import TEMPLATES, right
from dus.writing.tables import filled, markdown, nats, spread


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
            spread(each.cost.nats, each.cost.error),
            *(cell(each.lost[planner]) for planner in planners),
            *(cell(pair.divergence) for pair in each.pairs),
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
    pairs, texts = len(found[0].pairs[0].divergence), found[0].texts
    also = "" if pairs == texts else f" (pairs: of {pairs} texts)"
    values = {"answers": answered, "picture": picture, "block_length": block_length, "texts": texts, "also": also}
    return filled(TEMPLATES / "long.md", body=body, **values)


def answers(found: Sequence[Answered], limit: int) -> str:
    """Right answers as prompts grow by other problems, solved."""
    if not found:
        return ""
    planners = list(dict.fromkeys(each.planner for each in found))
    turns = list(dict.fromkeys(each.turns for each in found))
    by = {(each.turns, each.planner): each for each in found}
    rows = [
        (
            count,
            *(
                f"{right(each.accuracy)}, {each.calls:.1f} calls"
                for each in (by[count, planner] for planner in planners)
            ),
        )
        for count in turns
    ]
    return f"""## Answers

The first {limit} held-out problems behind other problems with their solutions, as earlier turns of the chat: right
answers with Wilson's 95% interval, and denoiser calls.

{markdown(("solved problems before", *(f"`{planner}`" for planner in planners)), rows)}
"""


def draw(folder: Path, name: str, found: Sequence[Context]) -> None:
    """Write `name.png`: the divergence of pairs over their spacing, a panel for each context."""
    over_spacing(folder, name, {f"{each.tokens} known tokens": each.pairs for each in found})


def _rate(context: Context) -> str:
    curves = fitted(context.pairs).get(2)
    if curves is None:
        return "none"
    fit = curves[0]
    return f"{fit.shape:.2f} ({fit.low:.2f} to {fit.high:.2f}){'' if fit.holds else ', no'}"


def _tail(short: Context, long: Context) -> str:
    """How dependence falls behind the shortest and behind the longest context."""
    near, far = short.pairs[0].spacing, short.pairs[-1].spacing
    costs = [[nats(Mean.of(each.pairs[place].divergence).nats) for place in (0, -1)] for each in (short, long)]
    return (
        f"Behind {short.tokens} known tokens, drawing a pair at once costs {costs[0][0]} nats at spacing {near} and "
        f"{costs[0][1]} at spacing {far}. Behind {long.tokens}, it costs {costs[1][0]} and {costs[1][1]}."
    )


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
