"""The numbers of the report, in nats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from dus.lab.theory.adaptive import Estimate, planner_divergence
from dus.lab.theory.best import best_schedules, local_search
from dus.lab.theory.entropies import all_entropies, entropy_of
from dus.lab.theory.fit import Decay, decay
from dus.lab.theory.randoms import KINDS, random_markov, vowels
from dus.lab.theory.report.extent import Extent
from dus.lab.theory.sampling import sampled_conditionals, schedule_divergence
from dus.lab.theory.schedules import contiguous, divergence, equal_sizes, schedule_of, step_gaps
from dus.lab.theory.sources import Source

ADAPTIVE_RATE = 0.8
SEARCHED_RATE = 0.9
SEARCH_WARMTH = 1e-4
MOST_STEPS = 6
KNOWN = (0, 1, 2, 4, 8)
PARTITIONS = 20
SEARCHED = ("second order, sticky", "second order, two strands", "hidden chain")


def first_look(extent: Extent) -> dict[str, list[float]]:
    """Divergences of four planners on random first-order chains of 8 states, in a quarter of the calls."""
    steps = len(schedule_of("dus", extent.length))
    found: dict[str, list[float]] = {"dus": []}
    for seed in range(extent.draws):
        source = random_markov(8, seed=seed)
        of = entropy_of(source)
        for planner in ("dus", f"random(steps={steps})", f"left-to-right(steps={steps})"):
            schedule = schedule_of(planner, extent.length, row=seed)
            found.setdefault(planner, []).append(divergence(schedule, of))
        ranked = f"confidence(steps={steps})"
        sampled = planner_divergence(source, ranked, extent.length, likeliest=True, samples=extent.samples)
        found.setdefault(ranked, []).append(sampled.nats)
    return found


def identity() -> Iterator[tuple[int, int, float, float]]:
    """Block length, known context, the divergence of DUS and `I(X_1; X_{1+B/2} | context)` on a first-order chain."""
    source = KINDS["first order"].source(0.9, 0)
    for length in (4, 8, 16, 32, 64):
        for context in (0, 1):
            of = entropy_of(source, context)
            half = 1 << length // 2
            yield length, context, divergence(schedule_of("dus", length), of), of(1) + of(half) - of(1 | half)


def decays(extent: Extent) -> dict[tuple[str, float], Decay]:
    """Dependence over spacing, by kind and rate."""
    return {
        (name, rate): decay(kind.source(rate, 0), range(1, 17), terms=5)
        for name, kind in KINDS.items()
        for rate in extent.long_rates
    }


@dataclass(frozen=True)
class Comparison:
    """Schedules of one block on one source, at the calls that DUS takes.

    Attributes:
        kind, rate, seed: The kind, the mixing rate and the seed of the source.
        length: B.
        steps: The calls.
        nats: The divergence of `one call`, `dus`, `best`, `best of dus's sizes`, `contiguous` groups of equal size,
            `residues` (the classes of a stride, one after the other) and `random` groups of equal size (on average).
        by_call: What DUS loses at each call.
        best: The best schedule.
        over_steps: For each number of calls the least divergence, that of residue classes, of contiguous and of random
            groups of equal size; empty where it was not asked for, as is the next.
        orders: The divergence of DUS's levels and of residue classes, by order.
    """

    kind: str
    rate: float
    seed: int
    length: int
    steps: int
    nats: dict[str, float]
    by_call: list[float]
    best: list[list[int]]
    over_steps: dict[int, dict[str, float]]
    orders: dict[str, float]


def compare(kind: str, rate: float, seed: int, length: int, samples: int = 0) -> Comparison:
    """Put DUS next to the best schedule and to others on one source; `vowels` is a kind without rate or seed.

    Args:
        kind: A name of `KINDS`, or `vowels`.
        rate: The mixing rate.
        seed: The seed of the draw.
        length: B, a power of two.
        samples: Sequences behind the orders that look at entropies; 0 leaves out all orders and numbers of calls.
    """
    source = vowels() if kind == "vowels" else KINDS[kind].source(rate, seed)
    table = all_entropies(source, length)
    of = table.item
    dus = schedule_of("dus", length)
    sizes, steps = [len(group) for group in dus], len(dus)
    best = best_schedules(table, min(MOST_STEPS, length) if samples else steps)
    nats = {
        "one call": divergence([range(length)], of),
        "dus": divergence(dus, of),
        "best": best.divergence(steps),
        "best of dus's sizes": best_schedules(table, steps, sizes).divergence(steps),
        "contiguous": divergence(contiguous(length, equal_sizes(length, steps)), of),
        "residues": divergence(_residues(length, steps), of),
        "random": _random_mean(length, steps, of, seed),
    }
    over_steps = {
        count: {
            "best": best.divergence(count),
            "residues": divergence(_residues(length, count), of),
            "contiguous": divergence(contiguous(length, equal_sizes(length, count)), of),
            "random": _random_mean(length, count, of, seed),
        }
        for count in range(1, best.steps + 1 if samples else 1)
    }
    orders = _orders(source, length, of, samples) if samples else {}
    by_call = [step.gap for step in step_gaps(dus, of)]
    return Comparison(kind, source.rate, seed, length, steps, nats, by_call, best.schedule(steps), over_steps, orders)


def _residues(length: int, stride: int) -> list[list[int]]:
    return [list(range(first, length, stride)) for first in range(stride)]


def _random_mean(length: int, steps: int, of: Callable[[int], float], seed: int) -> float:
    """The mean divergence of random partitions into groups of equal size."""
    cuts, rng = np.cumsum(equal_sizes(length, steps))[:-1], np.random.default_rng(seed)
    draws = [np.split(rng.permutation(length), cuts) for _ in range(PARTITIONS)]
    return float(np.mean([divergence([group.tolist() for group in draw], of) for draw in draws]))


def _orders(source: Source, length: int, of: Callable[[int], float], samples: int) -> dict[str, float]:
    """The divergence of the same dilated groups in other orders, and of contiguous ones.

    The orders that look at entropies are sampled: what they lose more than the fixed order on the same sequences.
    """
    levels = schedule_of("dus", length)
    residues = _residues(length, len(levels))
    found = {
        "levels, coarse to fine": divergence(levels, of),
        "levels, random": float(np.mean([divergence(order, of) for order in permutations(levels)])),
        "levels, fine to coarse": divergence(levels[::-1], of),
        "levels, least entropy": 0.0,
        "residues, left to right": divergence(residues, of),
        "residues, random": float(np.mean([divergence(order, of) for order in permutations(residues)])),
        "residues, least entropy": 0.0,
        "contiguous, left to right": divergence(contiguous(length, equal_sizes(length, len(levels))), of),
    }
    for groups, fixed in (("levels", "levels, coarse to fine"), ("residues", "residues, left to right")):
        chosen = planner_divergence(source, f"dus(order=entropy, groups={groups})", length, samples=samples)
        base = planner_divergence(source, f"dus(groups={groups})", length, samples=samples)
        found[f"{groups}, least entropy"] = found[fixed] + chosen.nats - base.nats
    return found


def adaptive_planners(length: int) -> list[str]:
    """The planners of the adaptive study; those with a number of calls take as many as DUS."""
    steps = len(schedule_of("dus", length))
    return [
        "dus",
        "dus(order=entropy)",
        f"random(steps={steps})",
        f"left-to-right(steps={steps})",
        f"entropy(steps={steps})",
        f"confidence(steps={steps})",
        f"confidence(steps={steps}) | spaced(gap=4)",
        "confidence",
        "eb(gamma=0.1)",
        "eb(gamma=1)",
        "cb(tau=0.9)",
        "cb(tau=0.6)",
        "dus | deferred(threshold=0.3)",
    ]


def adaptive(extent: Extent) -> dict[str, dict[str, list[tuple[Estimate, Estimate]]]]:
    """By kind and planner, for each draw: reading the likeliest token's confidence, and the drawn one's; exact."""
    return {
        name: {
            planner: [
                (
                    planner_divergence(source, planner, extent.short, likeliest=True),
                    planner_divergence(source, planner, extent.short),
                )
                for source in (kind.source(ADAPTIVE_RATE, seed, vocab=2) for seed in range(extent.adaptive_draws))
            ]
            for planner in adaptive_planners(extent.short)
        }
        for name, kind in KINDS.items()
    }


def contexts(extent: Extent) -> dict[str, dict[int, tuple[float, float]]]:
    """By kind and number of known tokens before a short block: the divergence of DUS, and the least in its calls."""
    dus = schedule_of("dus", extent.short)
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for name, kind in KINDS.items():
        source = kind.source(SEARCHED_RATE, 0)
        for known in KNOWN:
            table = all_entropies(source, extent.short, known)
            least = best_schedules(table, len(dus)).divergence(len(dus))
            found.setdefault(name, {})[known] = divergence(dus, table.item), least
    return found


def blocks(extent: Extent) -> dict[int, tuple[int, dict[str, Estimate]]]:
    """By block length: calls, and by kind the sampled divergence of DUS on a text of blocks from left to right."""
    found = {}
    length = 4
    while length <= extent.text:
        block = schedule_of("dus", length)
        schedule = [[start + place for place in group] for start in range(0, extent.text, length) for group in block]
        found[length] = (
            len(schedule),
            {
                name: schedule_divergence(kind.source(SEARCHED_RATE, 0), schedule, samples=extent.samples, seed=4)
                for name, kind in KINDS.items()
            },
        )
        length *= 2
    return found


def searched(extent: Extent) -> dict[str, dict[str, Estimate]]:
    """By kind: sampled divergences of four schedules of a block twice as long, in as many calls as DUS takes."""
    length, found = extent.search_length, {}
    for name in SEARCHED:
        source = KINDS[name].source(SEARCHED_RATE, 0)
        dus = schedule_of("dus", length)
        half = best_schedules(all_entropies(source, length // 2), len(dus)).schedule(len(dus))
        twice = [[*group, *(place + length // 2 for place in group)] for group in half]
        conditional = sampled_conditionals(source, length, samples=extent.samples, seed=1)
        ends = [
            local_search(conditional, start, extent.search_rounds, warmth=SEARCH_WARMTH, seed=2)
            for start in (dus, twice)
        ]
        schedules = {
            "dus": dus,
            "contiguous": contiguous(length, equal_sizes(length, len(dus))),
            "best of half the block, twice": twice,
            "search from dus": ends[0],
            "search from the best, twice": ends[1],
        }
        found[name] = {
            label: schedule_divergence(source, schedule, samples=4 * extent.samples, seed=3)
            for label, schedule in schedules.items()
        }
    return found
