"""The page of the report: what was measured, in words whose every number is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dus.lab.theory.adaptive import Estimate
from dus.lab.theory.bound import SMALLEST, Decay
from dus.lab.theory.report.settings import Extent
from dus.lab.theory.report.studies import ADAPTIVE_RATE, SEARCHED_RATE
from dus.lab.theory.report.tables import listed, nats
from dus.lab.theory.schedules import schedule_of
from dus.writing.tables import markdown


def first_look(extent: Extent, found: Mapping[str, Sequence[float]]) -> str:
    """Four planners on random first-order chains."""
    steps = len(schedule_of("dus", extent.length))
    rows = [(f"`{planner}`", nats(min(v)), nats(float(np.mean(v))), nats(max(v))) for planner, v in found.items()]
    return f"""## Planners on first-order chains

{extent.draws} random first-order chains of 8 states (rows drawn uniformly from the simplex), {extent.length} positions
in {steps} calls. Divergence in nats; `confidence` reads the likeliest token's probability here, and is sampled
({extent.samples} sequences a chain); the others are exact.

{markdown(("planner", "least", "mean", "most"), rows)}
"""


def identity(rows: Iterable[tuple[int, int, float, float]]) -> str:
    """The first-order identity."""
    rows = list(rows)
    worst = max(abs(ours - theirs) for _, _, ours, theirs in rows)
    cells = [(length, context, nats(ours), nats(theirs)) for length, context, ours, theirs in rows]
    return f"""### First order is the degenerate case

For a first-order chain and B a power of two, each position that DUS unmasks from the second step on is alone between
two revealed ones, so all that is lost is what the first two positions share, `I(X_1; X_{{1+B/2}})` given the context.
On a chain with ρ = 0.9, with and without one known token before the block (largest difference {worst:.0e} nats):

{markdown(("block length", "known tokens before", "DUS", "I(X_1; X_{1+B/2})"), cells)}
"""


def bound(decays: Mapping[tuple[str, float], Decay], drawn: float) -> str:
    """How fast dependence falls, and how loose the bound is; the picture is of the rate `drawn`."""
    rows, slack = [], []
    for (kind, rate), curve in decays.items():
        eighth = int(np.flatnonzero(curve.spacings == 8)[0])
        seen = curve.information[eighth] > SMALLEST
        slack.append(curve.bound[eighth] / curve.information[eighth] if seen else np.nan)
        cells = [nats(curve.information[curve.spacings == spacing][0]) for spacing in (1, 2, 4, 8, 16)]
        fit, loose = f"{curve.fitted_rate:.3f}", f"{slack[-1]:.3g}"
        rows.append((kind, f"{rate:g}", f"{rate**2:.3f}", fit, nats(curve.constant), *cells, loose))
    fits = [(curve.fitted_rate, rate) for (_, rate), curve in decays.items() if not np.isnan(curve.fitted_rate)]
    nearer = sum(abs(fit - rate**2) < abs(fit - rate) for fit, rate in fits)
    head = ("source", "ρ", "ρ²", "fitted rate", "C", "s = 1", "2", "4", "8", "16", "bound / measured at 8")
    return f"""## The bound

`I(X_i; X_{{i+s}}, …, X_{{i+5s}})` over the spacing s, in nats, next to `C ρ^s` with ρ the second largest eigenvalue
modulus of the chain of contexts (or hidden states) and C the least constant that makes it a bound at all spacings from
1 to 16. The fitted rate is that of the measured dependence over the larger half of the spacings; where too little is
left to measure, it is nan.

{markdown(head, rows)}

![Dependence over spacing, ρ = {drawn:g}](theory/bound.png)

- **It is loose.** With C chosen for each source it holds by construction; what is measured is the rate. Information is
  second order in the deviation from independence, so it falls with ρ², not with ρ: the fitted rate is nearer to ρ² than
  to ρ on {nearer} of {len(fits)} sources. At spacing 8 the bound is {np.nanmedian(slack):.2g} times what is
  measured, in the median.
- **It says nothing of the order in between.** Where a chain copies the token two or three places back, dependence does
  not fall monotonically: multiples of the lag are worse spacings than smaller ones, and C has to cover those.
- What further positions `X_{{i+2s}}, …` add to `X_{{i+s}}` is included. The dotted line, `I(S_i; S_{{i+s}})`, bounds it
  all by data processing.
"""


def adaptive(extent: Extent, found: Mapping[str, Mapping[str, Sequence[tuple[Estimate, Estimate]]]]) -> str:
    """Planners that look at predictions, by enumeration."""
    one = [drawn.nats for planners in found.values() for _, drawn in planners["confidence"]]
    head = ("planner", *found)

    def rows(drawn: bool) -> list[list[str]]:
        planners = list(next(iter(found.values())))
        return [[_code(planner), *(_cell(found[kind][planner], drawn) for kind in found)] for planner in planners]

    return f"""## Planners that look at predictions

{extent.short} positions of 2 tokens in one block, ρ = {ADAPTIVE_RATE:g}, {extent.adaptive_draws} draw(s); exact, by
enumeration of all that may be drawn. *Likeliest*: the planner reads the probability of the likeliest token. *Drawn*: it
reads that of the token drawn, as the decoding loop does. Mean divergence at temperature 1 in nats, and in parentheses
the mean number of calls.

- **Reading the confidence of what was drawn changes the law, even at one token a call.** `confidence` loses from
  {nats(min(one))} to {nats(max(one))} nats over these sources, with exact conditionals and no parallel step: an
  unlikely draw is put off and drawn again until it is likely. At temperature 0 both readings are the same.
- `eb`, `entropy`, `margin` and `dus` read no draw, so what they lose is due to parallel steps alone.

Likeliest:

{markdown(head, rows(False))}

Drawn:

{markdown(head, rows(True))}
"""


def _code(planner: str) -> str:
    return "`" + planner.replace("|", "\\|") + "`"


def _cell(pairs: Sequence[tuple[Estimate, Estimate]], drawn: bool) -> str:
    """Mean nats, and mean calls."""
    found = [pair[drawn] for pair in pairs]
    return f"{nats(float(np.mean([e.nats for e in found])))} ({np.mean([e.calls for e in found]):.1f})"


def blocks(
    extent: Extent,
    known: Mapping[str, Mapping[int, tuple[float, float]]],
    found: Mapping[int, tuple[int, Mapping[str, Estimate]]],
) -> str:
    """What context before a block changes, and what the block length costs."""
    head = ("source", *(f"{tokens}" for tokens in next(iter(known.values()))))
    context = [
        (kind, *(f"{nats(dus)} / {nats(least)}" for dus, least in each.values())) for kind, each in known.items()
    ]
    kinds = list(next(iter(found.values()))[1])
    rows = [
        (length, calls, *(f"{nats(each.nats)} ± {nats(each.error)}" for each in estimates.values()))
        for length, (calls, estimates) in found.items()
    ]
    shortest = {kind: min(found, key=lambda length: found[length][1][kind].nats) for kind in kinds}
    least = [
        f"{length} on {listed([kind for kind in kinds if shortest[kind] == length])}"
        for length in sorted(set(shortest.values()), reverse=True)
    ]
    return f"""## Context and block length

What is known before the block: divergence in nats of DUS / of the best schedule in as many calls, on
{extent.short} positions at ρ = {SEARCHED_RATE:g}, by the number of known tokens right before the block (exact).

{markdown(head, context)}

{extent.text} tokens generated in blocks from left to right, DUS in each, by block length: denoiser calls, and the
divergence of the whole in nats at ρ = {SEARCHED_RATE:g} (sampled, {extent.samples} sequences, with the standard error).

{markdown(("block length", "calls", *kinds), rows)}

Longer blocks take fewer calls, and where dependence falls with distance they lose less, as the first calls unmask
positions further apart. The least divergence is at block length {"; ".join(least)}. With exact
conditionals, then, a quality that falls as blocks grow is a sign of structure that spacing does not see; with a trained
denoiser its own errors come on top.
"""


def searched(extent: Extent, found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Blocks beyond exact search."""
    labels = list(next(iter(found.values())))
    rows = [
        (kind, *(f"{nats(each[label].nats)} ± {nats(each[label].error)}" for label in labels))
        for kind, each in found.items()
    ]
    length = extent.search_length
    return f"""## Beyond exact search

{length} positions in {len(schedule_of("dus", length))} calls at ρ = {SEARCHED_RATE:g}: sampled divergence in nats with
its standard error, from sequences that the search did not see. Local search starts from DUS, and from two copies of the
best schedule of half the block.

{markdown(("source", *labels), rows)}
"""
