"""A variable-order Markov source of units: the longest kept context of the past gives the next unit's law."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from dus.evaluation.tasks import TaskError
from dus.writing.files import write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDS = (".", "?")
TO_THE_LEFT = frozenset({".", ",", "?", "!", ":", ";", "%", ")", "'s", "-", "/"})  # no space before these
TO_THE_RIGHT = frozenset({"$", "(", "-", "/"})  # no space after these
_UNIT = re.compile(r"'s(?![A-Za-z])|[A-Za-z]+(?:'t(?![A-Za-z]))?|[0-9]+(?:[.,][0-9]+)*[A-Za-z]*|\S")


def parse(text: str) -> list[str]:
    """The units of any text. Where it has spaces does not matter beyond that."""
    return _UNIT.findall(text)


def render(units: Iterable[str]) -> str:
    """The units as one writes them, with `parse(render(units)) == units` for all that `is_unit`."""
    written, last = "", ""
    for unit in units:
        joined = not written or unit in TO_THE_LEFT or last in TO_THE_RIGHT
        written += unit if joined else f" {unit}"
        last = unit
    return written


def is_unit(text: str) -> bool:
    """Whether the text may be a unit of a vocabulary: a word, a whole number or one of the signs known here."""
    return text in TO_THE_LEFT | TO_THE_RIGHT or re.fullmatch(r"[A-Za-z]+|[0-9]+", text) is not None


Context = tuple[int, ...]
SMOOTHING = 1.0


class TextSource:
    """Units `0..V-1` and the counts of what followed each kept context, the latest unit of a context last.

    The law of a context is smoothed by its suffix, p(v | c) = (n(c v) + a p(v | suffix)) / (n(c) + a),
    the recursion of MacKay and Bauman Peto (1995) with one concentration a = `SMOOTHING`; the empty context's law is
    its counts alone. Every unit must have been counted there, so every law is positive everywhere.

    Attributes:
        units: The vocabulary.
        counts: For each context how often each unit followed it; with a context its suffixes are there too.
        order: The longest context's length.

    Raises:
        TaskError: No empty context, one that lacks a unit, or a context without its suffix.
    """

    def __init__(self, units: Sequence[str], counts: Mapping[Context, Mapping[int, int]]) -> None:
        self.units = tuple(units)
        self.index = {unit: place for place, unit in enumerate(self.units)}
        self.counts = counts
        self.order = max(map(len, counts), default=0)
        if not self.units or set(counts.get((), ())) != set(range(len(self.units))):
            raise TaskError("the empty context of a text source must have counts for each of its units, at least one")
        orphan = next((context for context in counts if context and context[1:] not in counts), None)
        if orphan is not None:
            raise TaskError(f"the text source has the context {orphan} but not its suffix {orphan[1:]}")
        self._laws: dict[Context, array[float]] = {}
        self._cumulative: dict[Context, array[float]] = {}

    def cut(self, order: int) -> TextSource:
        """The source of the contexts of at most `order` units."""
        return TextSource(self.units, {c: followed for c, followed in self.counts.items() if len(c) <= order})

    def context(self, past: Sequence[int]) -> Context:
        """The longest kept context that the past ends with."""
        for length in range(min(self.order, len(past)), 0, -1):
            context = tuple(past[-length:])
            if context in self.counts:
                return context
        return ()

    def law(self, context: Context) -> array[float]:
        """`[V]`, the distribution of what follows a kept context."""
        if context not in self._laws:
            followed = self.counts[context]
            total = 0.0
            for count in followed.values():
                total += count
            if context:
                scale = SMOOTHING / (total + SMOOTHING)
                law = array("d", (scale * p for p in self.law(context[1:])))
                for unit, count in followed.items():
                    law[unit] += count / (total + SMOOTHING)
            else:
                law = array("d", (followed[unit] / total for unit in range(len(self.units))))
            self._laws[context] = law
        return self._laws[context]

    def draw(self, past: Sequence[int], rng: Random) -> int:
        """A unit after this past."""
        context = self.context(past)
        if context not in self._cumulative:
            self._cumulative[context] = array("d", accumulate(self.law(context)))
        cumulative = self._cumulative[context]
        # The last sum is 1 but for rounding.
        return min(bisect_right(cumulative, rng.random() * cumulative[-1]), len(cumulative) - 1)

    def leaves(self) -> dict[Context, list[float]]:
        """A distribution `[V]` for each kept context, as `dus.lab.theory.sources.variable_order` takes it."""
        return {context: list(self.law(context)) for context in self.counts}

    def states(self) -> list[Context]:
        """The contexts and every single unit, closed under dropping the latest unit; the empty context is left out.

        What state follows which unit is then known from the state alone: they are the states of a Markov chain
        (Ron, Singer and Tishby 1996, section 3). Sorted by length, then by units.
        """
        closed = {context[:end] for context in self.counts for end in range(1, len(context) + 1)}
        closed |= {(unit,) for unit in range(len(self.units))}
        return sorted(closed, key=lambda context: (len(context), context))

    def transitions(self) -> tuple[list[Context], NDArray[np.float64], NDArray[np.int64]]:
        """The chain of the S `states`: they, `[S, V]` the law in each, and `[S, V]` the state after each unit."""
        import numpy as np

        states = self.states()
        place = {state: row for row, state in enumerate(states)}
        longer: dict[Context, list[int]] = {}
        for state in states[len(self.units) :]:
            longer.setdefault(state[:-1], []).append(state[-1])
        laws = np.array([self.law(self.context(state)) for state in states])
        following = np.tile(np.arange(len(self.units)), (len(states), 1))  # the first V states are single units
        for row, state in enumerate(states):
            if len(state) > 1:
                following[row] = following[place[state[1:]]]
            for unit in longer.get(state, ()):
                following[row, unit] = place[(*state, unit)]
        return states, laws, following

    def entropy_rate(self, rounds: int = 200) -> float:
        """Nats a unit of the endless stream: the entropy of each state's law, by how often the state is met.

        The stationary law of the states comes from `rounds` steps of the chain from the uniform one.
        """
        import numpy as np

        _, laws, following = self.transitions()
        share = np.full(len(laws), 1 / len(laws))
        for _ in range(rounds):
            share = np.bincount(following.ravel(), (share[:, None] * laws).ravel(), minlength=len(laws))
        return float(-(share[:, None] * laws * np.log(laws)).sum())

    def save(self, path: Path) -> None:
        """Writes JSON: the units, then a line for each context: its units, and pairs of a unit and its count."""
        lines = [
            json.dumps([context, [number for pair in sorted(self.counts[context].items()) for number in pair]])
            for context in sorted(self.counts, key=lambda context: (len(context), context))
        ]
        contexts = ",\n".join(line.replace(" ", "") for line in lines)
        write(path, f'{{"units": {json.dumps(self.units)},\n"contexts": [\n{contexts}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> TextSource:
        """The source that `save` wrote."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(stored["units"], {tuple(c): dict(zip(f[::2], f[1::2], strict=True)) for c, f in stored["contexts"]})


@cache
def fitted(order: int) -> TextSource:
    """The source that comes with the package, its contexts of at most `order` units."""
    return TextSource.load(Path(__file__).parents[3] / "assets" / "text" / "source.json").cut(order)
