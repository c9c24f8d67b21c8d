"""The part of the page that puts DUS next to the best schedule, and its groups in other orders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dus.lab.theory.report.settings import Extent
from dus.lab.theory.report.studies import PARTITIONS, Comparison
from dus.lab.theory.report.tables import listed, nats
from dus.writing.tables import markdown

CLOSE = 0.1
"""Nats within which DUS counts as near the best schedule."""


def _means(compared: Sequence[Comparison], kind: str, label: str) -> dict[float, float]:
    """By rate, the mean divergence of a schedule on a kind of source."""
    here = [each for each in compared if each.kind == kind]
    rates = sorted({round(each.rate, 4) for each in here})
    return {rate: float(np.mean([each.nats[label] for each in here if round(each.rate, 4) == rate])) for rate in rates}


def _comparison_table(compared: Sequence[Comparison]) -> str:
    """DUS, the best schedule of its sizes and the best one, by kind and rate."""
    kinds = list(dict.fromkeys(each.kind for each in compared))
    labels = ("dus", "best of dus's sizes", "best")
    rates = list(_means(compared, kinds[0], "dus"))
    rows = []
    for kind in kinds:
        means = [_means(compared, kind, label) for label in labels]
        rows.append((kind, *(" / ".join(nats(mean[rate]) for mean in means) for rate in rates)))
    return markdown(("source", *(f"ρ = {rate:g}" for rate in rates)), rows)


def verdict(compared: Sequence[Comparison]) -> str:
    """Up to which mixing rate DUS is near the best schedule, and where it is worse than groups without a plan."""
    rows, beaten = [], []
    for kind in dict.fromkeys(each.kind for each in compared):
        dus, best = _means(compared, kind, "dus"), _means(compared, kind, "best")
        contiguous, random = _means(compared, kind, "contiguous"), _means(compared, kind, "random")
        gaps = {rate: dus[rate] - best[rate] for rate in dus}
        near = [rate for rate in gaps if all(gaps[lower] <= CLOSE for lower in gaps if lower <= rate)]
        widest = max(gaps, key=lambda rate: gaps[rate])
        rows.append((kind, f"{max(near):g}" if near else "none", nats(gaps[widest]), f"{widest:g}"))
        for label, other in (("random", random), ("contiguous", contiguous)):
            worse = [f"{rate:g}" for rate in dus if dus[rate] > other[rate] + 1e-3]
            if worse:
                beaten.append(f"- {kind}: worse than {label} groups at ρ = {', '.join(worse)}")
    length, steps = compared[0].length, compared[0].steps
    text = markdown(("source", f"within {CLOSE:g} nats of the best up to ρ", "widest gap, nats", "at ρ"), rows)
    lost = "\n".join(beaten) or "- nowhere"
    return f"""{text}

Where DUS loses more than groups of equal size without any dilation ({length} positions, {steps} calls, means):

{lost}
"""


def short_words(long: Sequence[Comparison], text: Comparison) -> str:
    """What holds and what does not, in a few lines."""
    gaps = [each.nats["dus"] - each.nats["best"] for each in long]
    near = [each for each, gap in zip(long, gaps, strict=True) if gap <= CLOSE]
    far = long[int(np.argmax(gaps))]
    spared = [1 - each.nats["dus"] / each.nats["one call"] for each in near if each.nats["one call"] > CLOSE]
    plain = [each for each in long if each.nats["dus"] > min(each.nats["random"], each.nats["contiguous"]) + 1e-3]
    names = "; ".join(dict.fromkeys(each.kind for each in plain)) or "none"
    kinds, median = len({each.kind for each in long}), float(np.median(spared)) if spared else 0.0
    at, dus, best = f"{far.kind}, ρ = {far.rate:.2f}", nats(far.nats["dus"]), nats(far.nats["best"])
    words = {name: nats(value) for name, value in text.nats.items()}
    return f"""{long[0].length} positions in {long[0].steps} calls, {len(long)} sources of {kinds} kinds:

- **What holds.** DUS is within {CLOSE:g} nats of the best of all schedules on {len(near)} of {len(long)} sources, and
  there spares, in the median, {median:.1%} of what one call for the whole block would lose.
- **What does not.** It is not the best schedule in general. Its widest gap is {nats(max(gaps))} nats
  ({at}: DUS {dus}, best {best}). On {len(plain)} sources it loses more than contiguous groups
  do, or random ones on average ({names}). What matters is which positions depend on each other; spacing is a stand-in
  for that.
- **On text** (English as vowels and other characters, order 4, ρ = {text.rate:.2f}): one call loses
  {words["one call"]}, contiguous groups {words["contiguous"]}, DUS {words["dus"]}, residue classes
  {words["residues"]}, the best schedule {words["best"]}.
"""


def best(extent: Extent, short: Sequence[Comparison], long: Sequence[Comparison], shown: Sequence[Comparison]) -> str:
    """DUS next to the best schedule."""
    return "\n".join((_by_rate(extent, short, long), _by_call(shown), _by_calls(extent, shown)))


def _by_rate(extent: Extent, short: Sequence[Comparison], long: Sequence[Comparison]) -> str:
    """What both lose over the mixing rate, in short blocks and in long ones."""
    return f"""## The best schedule

Of all schedules of a block in so many calls, the one with the least divergence, by exact dynamic programming over
the sets that may be revealed. *Best of DUS's sizes* may choose which positions, but takes groups of 2, 2, 4, … as
DUS does; *random* is the mean of {PARTITIONS} partitions into groups of equal size, *contiguous* means neighbours, left
to right.

### {extent.short} positions in {short[0].steps} calls

Mean divergence of {extent.draws} draw(s) a rate, in nats: DUS / the best schedule of its sizes / the best of all.

![Divergence over the mixing rate, short blocks](theory/best-short.png)

{_comparison_table(short)}

{verdict(short)}
### {extent.length} positions in {long[0].steps} calls

{extent.long_draws} draw(s) a rate; columns as above.

![Divergence over the mixing rate, long blocks](theory/best-long.png)

{_comparison_table(long)}

{verdict(long)}"""


def _by_call(shown: Sequence[Comparison]) -> str:
    """What each of DUS's calls loses."""
    rows = [(each.kind, f"{each.rate:.2f}", *(nats(gap) for gap in each.by_call)) for each in shown]
    return f"""### Where DUS loses it

What each of its calls loses, on the sources at the largest mixing rate below 0.95, and on English text reduced to
vowels and other characters (order 4):

{markdown(("source", "ρ", *(f"call {call + 1}" for call in range(shown[0].steps))), rows)}

On a first-order chain only the first call can lose: any revealed token cuts the chain in two. A chain of order k is cut
by k revealed *neighbours* only, and DUS never has two of them before its last call. There the tokens that it unmasks
together have single revealed ones between them, and are still tied. A schedule that reveals neighbours in successive
calls cuts the chain; and where mixing is slow, one that begins with a single token loses nothing in its first call.
"""


def _by_calls(extent: Extent, shown: Sequence[Comparison]) -> str:
    """Which positions the schedules take, and what the best ones lose by number of calls."""
    head = ("source", "ρ", *(f"{count}" for count in shown[0].over_steps))

    def least(label: str) -> str:
        found = [(each, [nats(losses[label]) for losses in each.over_steps.values()]) for each in shown]
        return markdown(head, [(each.kind, f"{each.rate:.2f}", *losses) for each, losses in found])

    return f"""### Which positions it takes

The call that unmasks each of {extent.length} positions, by DUS (above) and by the best schedule (below), on the same
sources.

![Schedules](theory/schedules.png)

### How many calls

The same sources; the star is DUS, *residues* are the classes of a stride, one after the other.

![Divergence over the number of calls](theory/steps.png)

The least divergence by number of calls, in nats:

{least("best")}

That of residue classes:

{least("residues")}
"""


def orders(compared: Sequence[Comparison]) -> str:
    """The same groups in other orders."""
    names = list(compared[0].orders)
    rows = [(f"{each.kind}, ρ = {each.rate:.2f}", *(nats(each.orders[name]) for name in names)) for each in compared]
    winners = {name: sum(min(each.orders, key=each.orders.__getitem__) == name for each in compared) for name in names}
    ahead = [f"*{name}* on {count}" for name, count in sorted(winners.items(), key=lambda item: -item[1]) if count]
    reverse = [
        each.kind
        for each in compared
        if each.orders["levels, fine to coarse"] < each.orders["levels, coarse to fine"] - 1e-4
    ]
    return f"""## The order

DUS's levels, and the residue classes of as many calls, in several orders; *random* is the mean of all orders, *least
entropy* takes at each call the group whose marginal entropies have the least sum (its difference from the fixed order
is sampled; the rest is exact). {compared[0].length} positions, nats.

{markdown(("source", *names), rows)}

- Least divergence of all orders: {listed(ahead)} of {len(compared)} sources (the first named where several are equal).
- Fine to coarse is better than coarse to fine on: {listed(reverse)}.
"""
