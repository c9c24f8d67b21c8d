"""What the report's page says of the studies: the tables and the numbers that its template names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dus.lab.theory.adaptive import Estimate
from dus.lab.theory.fit import SMALLEST, Decay
from dus.lab.theory.report.studies import PARTITIONS, Comparison
from dus.writing.tables import code, listed, markdown, nats, spread

CLOSE = 0.1
"""Nats within which DUS counts as near the best schedule."""

Values = dict[str, Any]


def first_look(found: Mapping[str, Sequence[float]]) -> Values:
    """Four planners on random first-order chains."""
    rows = [(f"`{planner}`", nats(min(v)), nats(float(np.mean(v))), nats(max(v))) for planner, v in found.items()]
    return {"first_look": markdown(("planner", "least", "mean", "most"), rows)}


def identity(rows: Iterable[tuple[int, int, float, float]]) -> Values:
    """The first-order identity."""
    rows = list(rows)
    cells = [(length, context, nats(ours), nats(theirs)) for length, context, ours, theirs in rows]
    return {
        "identity": markdown(("block length", "known tokens before", "DUS", "I(X_1; X_{1+B/2})"), cells),
        "identity_worst": max(abs(ours - theirs) for _, _, ours, theirs in rows),
    }


def bound(decays: Mapping[tuple[str, float], Decay]) -> Values:
    """How fast dependence falls, and how loose the bound is."""
    rows, slack = [], []
    for (kind, rate), curve in decays.items():
        eighth = int(np.flatnonzero(curve.spacings == 8)[0])
        seen = curve.information[eighth] > SMALLEST
        slack.append(curve.bound[eighth] / curve.information[eighth] if seen else np.nan)
        cells = [nats(curve.information[curve.spacings == spacing][0]) for spacing in (1, 2, 4, 8, 16)]
        fit, loose = f"{curve.fitted_rate:.3f}", f"{slack[-1]:.3g}"
        rows.append((kind, f"{rate:g}", f"{rate**2:.3f}", fit, nats(curve.constant), *cells, loose))
    fits = [(curve.fitted_rate, rate) for (_, rate), curve in decays.items() if not np.isnan(curve.fitted_rate)]
    head = ("source", "ρ", "ρ²", "fitted rate", "C", "s = 1", "2", "4", "8", "16", "bound / measured at 8")
    nearer = sum(abs(fit - rate**2) < abs(fit - rate) for fit, rate in fits)
    return {"bound": markdown(head, rows), "nearer": nearer, "fits": len(fits), "slack": np.nanmedian(slack)}


def _means(compared: Sequence[Comparison], kind: str, label: str) -> dict[float, float]:
    """By rate, the mean divergence of a schedule on a kind of source."""
    here = [each for each in compared if each.kind == kind]
    rates = sorted({round(each.rate, 4) for each in here})
    return {rate: float(np.mean([each.nats[label] for each in here if round(each.rate, 4) == rate])) for rate in rates}


def compared(name: str, found: Sequence[Comparison]) -> Values:
    """DUS, the best schedule of its sizes and the best one, by kind and rate, and how near DUS comes to the best.

    Args:
        name: What the values' names begin with, `short` or `long`.
        found: The comparisons, on blocks of one length.
    """
    kinds = list(dict.fromkeys(each.kind for each in found))
    rows, verdicts, beaten = [], [], []
    for kind in kinds:
        means = {label: _means(found, kind, label) for label in found[0].nats}
        dus, best = means["dus"], means["best"]
        shown = (dus, means["best of dus's sizes"], best)
        rows.append((kind, *(" / ".join(nats(mean[rate]) for mean in shown) for rate in dus)))
        gaps = {rate: dus[rate] - best[rate] for rate in dus}
        near = [rate for rate in gaps if all(gaps[lower] <= CLOSE for lower in gaps if lower <= rate)]
        widest = max(gaps, key=lambda rate: gaps[rate])
        verdicts.append((kind, f"{max(near):g}" if near else "none", nats(gaps[widest]), f"{widest:g}"))
        for label in ("random", "contiguous"):
            worse = [f"{rate:g}" for rate in dus if dus[rate] > means[label][rate] + 1e-3]
            if worse:
                beaten.append(f"- {kind}: more than {label} groups at ρ = {', '.join(worse)}")
    length, steps = found[0].length, found[0].steps
    first = markdown(("source", f"within {CLOSE:g} nats of the best up to ρ", "widest gap, nats", "at ρ"), verdicts)
    then = (
        "DUS loses more than undilated groups of equal size on these sources "
        f"(means, {length} positions in {steps} calls):"
    )
    return {
        f"{name}_steps": steps,
        f"{name}_table": markdown(("source", *(f"ρ = {rate:g}" for rate in _means(found, kinds[0], "dus"))), rows),
        f"{name}_verdict": "\n\n".join([first, then, "\n".join(beaten) or "- nowhere"]),
    }


def in_short(long: Sequence[Comparison], text: Comparison) -> Values:
    """What holds and what does not, in a few lines."""
    gaps = [each.nats["dus"] - each.nats["best"] for each in long]
    near = [each for each, gap in zip(long, gaps, strict=True) if gap <= CLOSE]
    far = long[int(np.argmax(gaps))]
    spared = [1 - each.nats["dus"] / each.nats["one call"] for each in near if each.nats["one call"] > CLOSE]
    plain = [each for each in long if each.nats["dus"] > min(each.nats["random"], each.nats["contiguous"]) + 1e-3]
    dus, best = nats(far.nats["dus"]), nats(far.nats["best"])
    return {
        "sources": len(long),
        "kinds": len({each.kind for each in long}),
        "close": CLOSE,
        "near": len(near),
        "spared": float(np.median(spared)) if spared else 0.0,
        "widest": nats(max(gaps)),
        "widest_at": f"{far.kind}, ρ = {far.rate:.2f}: DUS {dus}, best {best}",
        "plain": len(plain),
        "plain_kinds": "; ".join(dict.fromkeys(each.kind for each in plain)) or "none",
        "text": text,
        "text_nats": {name: nats(value) for name, value in text.nats.items()},
        "partitions": PARTITIONS,
    }


def shown(compared: Sequence[Comparison]) -> Values:
    """What each of DUS's calls loses, what schedules lose by number of calls, and the same groups in other orders."""
    steps, counts = range(compared[0].steps), compared[0].over_steps

    def least(label: str) -> str:
        rows = [
            (each.kind, f"{each.rate:.2f}", *(nats(losses[label]) for losses in each.over_steps.values()))
            for each in compared
        ]
        return markdown(("source", "ρ", *map(str, counts)), rows)

    calls = [(each.kind, f"{each.rate:.2f}", *(nats(gap) for gap in each.by_call)) for each in compared]
    names = list(compared[0].orders)
    orders = [(f"{each.kind}, ρ = {each.rate:.2f}", *(nats(each.orders[name]) for name in names)) for each in compared]
    winners = {name: sum(min(each.orders, key=each.orders.__getitem__) == name for each in compared) for name in names}
    ahead = [f"*{name}* on {count}" for name, count in sorted(winners.items(), key=lambda item: -item[1]) if count]
    forth, back = "levels, coarse to fine", "levels, fine to coarse"
    return {
        "by_call": markdown(("source", "ρ", *(f"call {call + 1}" for call in steps)), calls),
        "best_by_calls": least("best"),
        "residues_by_calls": least("residues"),
        "orders": markdown(("source", *names), orders),
        "ahead": listed(ahead),
        "shown": len(compared),
        "reverse": listed([each.kind for each in compared if each.orders[back] < each.orders[forth] - 1e-4]),
    }


def blocks(
    known: Mapping[str, Mapping[int, tuple[float, float]]], found: Mapping[int, tuple[int, Mapping[str, Estimate]]]
) -> Values:
    """What context before a block changes, and what the block length costs."""
    pairs = [(kind, *(f"{nats(dus)} / {nats(least)}" for dus, least in each.values())) for kind, each in known.items()]
    kinds = list(next(iter(found.values()))[1])
    rows = [
        (length, calls, *(spread(each.nats, each.error) for each in estimates.values()))
        for length, (calls, estimates) in found.items()
    ]
    shortest = {kind: min(found, key=lambda length: found[length][1][kind].nats) for kind in kinds}
    least = [
        f"{length} on {listed([f'*{kind}*' for kind in kinds if shortest[kind] == length])}"
        for length in sorted(set(shortest.values()), reverse=True)
    ]
    return {
        "contexts": markdown(("source", *(f"{tokens}" for tokens in next(iter(known.values())))), pairs),
        "blocks": markdown(("block length", "calls", *kinds), rows),
        "best_lengths": "; ".join(least),
    }


def adaptive(found: Mapping[str, Mapping[str, Sequence[tuple[Estimate, Estimate]]]]) -> Values:
    """Planners that look at predictions, by enumeration: mean nats, and mean calls."""
    one = [drawn.nats for planners in found.values() for _, drawn in planners["confidence"]]

    def cell(pairs: Sequence[tuple[Estimate, Estimate]], drawn: bool) -> str:
        estimates = [pair[drawn] for pair in pairs]
        return f"{nats(float(np.mean([e.nats for e in estimates])))} ({np.mean([e.calls for e in estimates]):.1f})"

    def table(drawn: bool) -> str:
        planners = list(next(iter(found.values())))
        rows = [[code(planner), *(cell(found[kind][planner], drawn) for kind in found)] for planner in planners]
        return markdown(("planner", *found), rows)

    least, most = nats(min(one)), nats(max(one))
    return {"likeliest": table(False), "drawn": table(True), "one_least": least, "one_most": most}


def searched(found: Mapping[str, Mapping[str, Estimate]]) -> Values:
    """Blocks beyond exact search."""
    labels = list(next(iter(found.values())))
    rows = [(kind, *(spread(each[label].nats, each[label].error) for label in labels)) for kind, each in found.items()]
    return {"searched": markdown(("source", *labels), rows)}
