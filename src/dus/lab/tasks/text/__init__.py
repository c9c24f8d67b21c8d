"""Passages from a known source: what a generated text costs is counted exactly, in nats a unit, not right or wrong.

The source is a variable-order Markov chain of words, numbers and signs (`dus.lab.tasks.text.source`), fitted on the
questions of GSM8K (`dus.lab.tasks.text.fit`). The question is a passage's beginning, begun as after a question mark;
the solution goes on and ends at the first full stop or question mark after `LEAST` units, or at `MOST` units. Level k
uses the contexts of at most k units, so that what a unit depends on reaches further and passages get longer.

Less is not always better. True continuations cost the entropy rate on average (`Text.entropy_rate`), worse text costs
more, but a degenerate one, which repeats the likeliest phrase, costs less than the source's own text: read `score`
together with `distinct_share`, or as a distance from the entropy rate.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import log
from types import MappingProxyType

from dus.evaluation.tasks import Problem, Unit, check_level
from dus.lab.tasks.generated import Generated
from dus.lab.tasks.text.source import ENDS, fitted, parse, render

QUESTION = (6, 12)
LEAST = {1: 6, 2: 32, 3: 80}
MOST = {1: 24, 2: 60, 3: 128}
UNKNOWN = 20 * log(2)
EMPTY = 50.0


def _passages(level: int, seed: str) -> Iterator[Problem]:
    """Problems without end, held-out ones not yet taken out."""
    source = fitted(level)
    rng = random.Random(f"text/{level}/{seed}")
    ends = {source.index[end] for end in ENDS}
    while True:
        asked = rng.randint(*QUESTION)
        past = [source.index["?"]]
        while len(past) <= asked + MOST[level] and not (len(past) > asked + LEAST[level] and past[-1] in ends):
            past.append(source.draw(past, rng))
        units = [source.units[place] for place in past[1:]]
        solution = render(units[asked:])
        yield Problem(render(units[:asked]), solution, solution, level)


def nats(level: int, past: Sequence[str], units: Sequence[str]) -> list[float]:
    """What each of the units costs after the past and the units before it, `-log p` under the level's source.

    A unit outside the vocabulary, which the source cannot write, costs 20 bits and log 257 for each of its UTF-8 bytes
    and for its end, and the unit after it has no past.
    """
    source = fitted(level)
    known: list[int] = []
    costs: list[float] = []
    for place, unit in enumerate((*past, *units)):
        index = source.index.get(unit)
        if place >= len(past) and index is not None:
            costs.append(-log(source.law(source.context(known))[index]))
        elif place >= len(past):
            costs.append(UNKNOWN + log(257) * (1 + len(unit.encode("utf-8", "surrogatepass"))))
        known = [] if index is None else [*known[-source.order :], index]
    return costs


def distinct_share(text: str, n: int = 2) -> float:
    """The share of different ones among the stretches of n units of the text (distinct-n, Li et al. 2016).

    Near 1 for the source's own short texts, near 0 for one that repeats itself; 1 for a text of fewer than n units.
    """
    units = parse(text)
    stretches = [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
    return len(set(stretches)) / len(stretches) if stretches else 1.0


class Text(Generated):
    """The `Task` of continuing a passage; scored by what the continuation costs under the true source."""

    name = "text"
    unit: Unit = "nats"
    answer_tokens: Mapping[int, int] = MappingProxyType({1: 64, 2: 128, 3: 256})
    runs_code = False

    stream = staticmethod(_passages)

    def score(self, problem: Problem, text: str) -> float:
        """Nats a unit: `-log p(text | question) / units` under the source of the problem's level, see `nats`.

        Finite for any text. Where the text has spaces does not matter, nor where it ends; a text without a unit costs
        `EMPTY`, which is more than any text of known units.
        """
        units = parse(text)
        costs = nats(problem.level, parse(problem.question), units)
        return sum(costs) / len(costs) if costs else EMPTY

    def entropy_rate(self, level: int) -> float:
        """The expected nats of a solution over its expected units: what the source's own text costs a unit.

        Exact: expectations are carried back along the passage, its end included. The plain mean of `score` over
        passages is up to 0.03 less, since short ones weigh more there; the endless stream, which has neither beginning
        nor end, has `TextSource.entropy_rate`, within 0.04 of this.

        Raises TaskError for a level that does not exist.
        """
        return _entropy_rate(check_level(level))


@cache
def _entropy_rate(level: int) -> float:
    import numpy as np

    source = fitted(level)
    states, laws, following = source.transitions()
    ends = np.isin([state[-1] for state in states], [source.index[end] for end in ENDS])
    costs = (-(laws * np.log(laws)).sum(axis=1), np.ones(len(states)))
    start = states.index((source.index["?"],))
    totals = []
    for cost in costs:
        rest = np.zeros(len(states))  # what is still expected in each state, from the last unit back to the first
        for written in reversed(range(MOST[level])):
            rest = cost + (laws * rest[following]).sum(axis=1)
            if written >= LEAST[level]:
                rest[ends] = 0.0
        total = 0.0
        for asked in range(1, QUESTION[1] + 1):
            rest = (laws * rest[following]).sum(axis=1)
            total += float(rest[start]) if asked >= QUESTION[0] else 0.0
        totals.append(total)
    return totals[0] / totals[1]
