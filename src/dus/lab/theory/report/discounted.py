"""The page of `dus theory discount`: the discounted entropy bound on sources whose conditionals are known."""

from __future__ import annotations

from collections.abc import Sequence

from dus.lab.theory.adaptive import Estimate
from dus.lab.theory.discounted import Bounded, Discounted
from dus.writing.tables import code, markdown, nats

TITLES = {"eb": "EB", "cb": "CB", "deb": "DEB", "deb, shares": "DEB by offset"}


def page(found: Sequence[Discounted], length: int, rho: float, samples: int) -> str:
    """The page's body as Markdown.

    Args:
        found: What was measured, one for each source.
        length: B.
        rho: The discount of `deb`.
        samples: The number of sequences behind each estimate.
    """
    return f"""This page says what `deb` loses on chains, beside DUS, EB, CB and the best schedule at equal calls.
Blocks of {length} positions of a stationary stream are sampled at temperature 1, with nothing known
before them. All losses are divergences from the truth in nats. Those of DUS and of the best schedule are exact. The
others are estimates from {samples} sequences, with standard errors. Confidence and entropy are those of the exact
conditionals. `deb` is without patience (`f=0`), which is about greedy answers. *DEB* discounts by ρ = {rho:g}.
*DEB by offset* reads a share for each distance: how much of a token's entropy another token at that distance removes,
on this very source. `dus calibrate` for `deb` measures such shares on a model. The *rate* of a source is its mixing
rate, and the *lag* of a chain says how many places back the token stands that it tends to copy.

{chr(10).join(f"- {sentence}" for sentence in words(found))}

## At equal calls

For each adaptive planner the table has the setting that loses least, among those that on average take at most as many
calls as DUS.

{equal_calls(found)}

## What is lost, and what is summed

What is lost is the total correlation of the tokens of a call, summed over the calls. What is summed are the discounted
entropies of these tokens, without the most uncertain token of each call. If the loss exceeds the sum by more than two
standard errors, the discount promises too much, and the last column says *no*.

{sums(found)}

## What the shares are

These are the shares of a token's entropy that another token removes, by the distance between the two:

{shares(found)}
"""


def equal_calls(found: Sequence[Discounted]) -> str:
    """The planners at equal calls, a row a source."""
    rows = []
    for each in found:
        cells = []
        for name in TITLES:
            if name in each.within:
                text, estimate = each.within[name]
                cells.append(f"{_estimate(estimate)} in {estimate.calls:.2f} ({code(text)})")
            else:
                cells.append("more calls at every setting")
        rows.append([each.name, f"{each.calls}", nats(each.dus), nats(each.best), *cells])
    return markdown(["source", "calls", "DUS", "best schedule", *TITLES.values()], rows)


def sums(found: Sequence[Discounted]) -> str:
    """What is lost beside what is summed, a row a source and setting."""
    rows = [
        [each.name, code(text), f"{one.loss.calls:.2f}", _estimate(one.loss), nats(one.summed), _kept(one)]
        for each in found
        for text, one in each.bounded.items()
    ]
    return markdown(["source", "planner", "calls", "lost", "summed", "within"], rows, names=2)


def shares(found: Sequence[Discounted]) -> str:
    """The share of a token's entropy that another one tells of, by their distance."""
    most = max(len(each.shares) for each in found)
    rows = [[each.name, *(nats(share) for share in each.shares)] for each in found]
    return markdown(["source", *(str(distance) for distance in range(1, most + 1))], rows)


def words(found: Sequence[Discounted]) -> list[str]:
    """What the table of equal calls shows."""

    def least(each: Discounted, name: str) -> float:
        return each.within[name][1].nats if name in each.within else float("inf")

    ahead = [f"*{each.name}*" for each in found if least(each, "deb") < min(least(each, "eb"), least(each, "cb"))]
    mended = [f"*{each.name}*" for each in found if least(each, "deb, shares") < least(each, "deb")]
    fixed = [f"*{each.name}*" for each in found if each.dus < min(least(each, "deb"), least(each, "deb, shares"))]
    return [
        f"DEB loses less than EB and CB on {len(ahead)} of {len(found)} sources: {_named(ahead)}.",
        f"Shares by offset lose less than a single rate on {len(mended)}: {_named(mended)}.",
        f"DUS, which looks at no token, loses less than DEB in either form on {len(fixed)}: {_named(fixed)}.",
    ]


def _named(sources: Sequence[str]) -> str:
    """The names, which have commas."""
    return "; ".join(sources) or "none"


def _estimate(one: Estimate) -> str:
    return f"{nats(one.nats)} ± {nats(one.error)}"


def _kept(one: Bounded) -> str:
    return "yes" if one.loss.nats <= one.summed + 2 * one.loss.error else "no"
