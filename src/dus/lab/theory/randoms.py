"""Random sources with a wanted mixing rate, and the kinds of them that the report looks at.

Each is a point on a path of conditional distributions, from independent tokens (rate 0) through a random draw to a
deterministic copy of an earlier token or state (rate 1). The rate is continuous along the path, so bisection finds
any rate between; what dependence is slow at high rates is what the copy keeps: the last token (a sticky chain), or
the token some lag back (as many interleaved strands as the lag).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import TheoryError
from dus.lab.theory.sources import Source, from_tokens, hidden, markov, variable_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BISECTIONS = 60


def random_markov(
    vocab: int, order: int = 1, rate: float | None = None, lag: int = 1, seed: int = 0, spread: float = 1.0
) -> Source:
    """A random Markov chain of order k.

    Args:
        vocab: V.
        order: K.
        rate: The wanted mixing rate, between 0 and 1; None takes the draw as it is.
        lag: What slow mixing keeps: the token so many places back, 1 to k.
        seed: The seed of the draw.
        spread: Concentration of the Dirichlet distribution of each context's row; small is nearly deterministic.

    Raises:
        TheoryError: A rate outside (0, 1), a lag outside 1 to k, too many contexts.
    """
    if not 1 <= lag <= order:
        raise TheoryError(f"the lag is {lag}, a chain of order {order} sees 1 to {order} tokens back")
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.full(vocab, spread), size=vocab**order)
    copied = np.eye(vocab)[np.arange(vocab**order) // vocab ** (lag - 1) % vocab]

    def build(tables: NDArray[np.float64]) -> Source:
        return markov(tables, order)

    return _at_rate(build, drawn, copied, rate, f"order {order}, lag {lag}" if order > 1 else "order 1")


def random_variable_order(
    vocab: int, depth: int = 3, rate: float | None = None, seed: int = 0, spread: float = 1.0
) -> Source:
    """A random variable-order chain: a context tree of which every node above `depth` branches with probability ½.

    Args:
        vocab: V.
        depth: The longest context; one branch of the tree reaches it.
        rate: The wanted mixing rate; slow mixing copies the oldest token that a leaf sees.
        seed: The seed of the draw.
        spread: Concentration of the Dirichlet distribution of each leaf.

    Raises:
        TheoryError: A rate outside (0, 1), too many contexts.
    """
    rng = np.random.default_rng(seed)
    suffixes: list[tuple[int, ...]] = []

    def grow(suffix: tuple[int, ...], spine: bool) -> None:
        if len(suffix) < depth and (spine or rng.random() < 0.5):
            for token in range(vocab):
                grow((token, *suffix), spine and token == 0)
        else:
            suffixes.append(suffix)

    grow((), True)
    drawn = rng.dirichlet(np.full(vocab, spread), size=len(suffixes))
    copied = np.eye(vocab)[[suffix[0] for suffix in suffixes]]

    def build(tables: NDArray[np.float64]) -> Source:
        return variable_order(dict(zip(suffixes, tables.tolist(), strict=True)))

    return _at_rate(build, drawn, copied, rate, f"variable order up to {depth}")


def random_hidden(
    states: int, vocab: int, rate: float | None = None, noise: float = 0.2, seed: int = 0, spread: float = 1.0
) -> Source:
    """A random hidden Markov chain.

    Args:
        states: S of the hidden chain.
        vocab: V.
        rate: The wanted mixing rate of the hidden chain, whose slow form stays where it is.
        noise: Share of a token that does not tell of its state, between 0 (state s emits token s mod V) and 1.
        seed: The seed of the draw.
        spread: Concentration of the Dirichlet distribution of each row.

    Raises:
        TheoryError: A rate outside (0, 1), a noise outside [0, 1].
    """
    if not 0 <= noise <= 1:
        raise TheoryError(f"the noise is {noise}, a share lies between 0 and 1")
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.full(states, spread), size=states)
    blurred = rng.dirichlet(np.full(vocab, spread), size=states)
    emission = (1 - noise) * np.eye(vocab)[np.arange(states) % vocab] + noise * blurred

    def build(tables: NDArray[np.float64]) -> Source:
        return hidden(tables, emission)

    return _at_rate(build, drawn, np.eye(states), rate, f"hidden chain of {states} states")


def _at_rate(
    build: Callable[[NDArray[np.float64]], Source],
    drawn: NDArray[np.float64],
    copied: NDArray[np.float64],
    rate: float | None,
    name: str,
) -> Source:
    """The source on the path from independent tokens over the draw to the copy whose mixing rate is wanted."""
    if rate is None:
        return replace(build(drawn), name=name)
    if not 0 < rate < 1:
        raise TheoryError(f"the mixing rate is {rate}, it lies between 0 and 1")
    level = drawn.mean(axis=0)

    def at(place: float) -> Source:
        other = level if place < 0 else copied
        return build((1 - abs(place)) * drawn + abs(place) * other)

    low, high = -1.0, 1 - 1e-9
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle).rate < rate else (low, middle)
    return replace(at(low), name=f"{name}, rate {rate:g}")


@dataclass(frozen=True)
class Kind:
    """A family of random sources.

    Attributes:
        name: What the report calls it.
        vocab: Tokens in the studies that can afford them; 2 in the others.
        build: A function of a vocabulary size, a mixing rate and a seed that returns the source.
    """

    name: str
    vocab: int
    build: Callable[[int, float, int], Source]

    def source(self, rate: float, seed: int, vocab: int | None = None) -> Source:
        """The draw of this seed, at this mixing rate."""
        return self.build(vocab or self.vocab, rate, seed)


OTHER = 1000
"""Chains with strands are drawn with other seeds than sticky ones: at low rates, where nothing is kept, a seed tells
the whole chain."""

KINDS = {
    kind.name: kind
    for kind in (
        Kind("first order", 8, lambda v, r, s: random_markov(v, 1, r, seed=s)),
        Kind("second order, sticky", 3, lambda v, r, s: random_markov(v, 2, r, lag=1, seed=s)),
        Kind("second order, two strands", 3, lambda v, r, s: random_markov(v, 2, r, lag=2, seed=OTHER + s)),
        Kind("third order, sticky", 2, lambda v, r, s: random_markov(v, 3, r, lag=1, seed=s)),
        Kind("third order, three strands", 2, lambda v, r, s: random_markov(v, 3, r, lag=3, seed=OTHER + s)),
        Kind("variable order", 2, lambda v, r, s: random_variable_order(v, 3, r, seed=s)),
        Kind("hidden chain", 2, lambda v, r, s: random_hidden(4, v, r, noise=0.3, seed=s)),
    )
}
"""A strand is every second (third) position: at high rates each is a slow chain of its own. Sticky repeats itself."""

FAR = {
    kind.name: kind
    for kind in (
        Kind("slow topic", 2, lambda vocab, rate, seed: random_hidden(4, vocab, rate, noise=0.6, seed=seed)),
        Kind("eight strands", 2, lambda vocab, rate, seed: strands(vocab, 8, rate)),
    )
}
"""Sources whose dependence reaches far: a topic that few tokens tell of, and a copy of the token eight places back."""


def strands(vocab: int, count: int, rate: float) -> Source:
    """So many interleaved chains that know nothing of each other: each keeps its token, or draws any anew.

    Args:
        vocab: V.
        count: K; the tokens of a chain are k places apart.
        rate: The mixing rate of the whole, a token; a chain keeps its token with probability `rate^k`.

    Raises:
        TheoryError: Too many contexts.
    """
    copied = np.eye(vocab)[np.arange(vocab**count) // vocab ** (count - 1)]
    keep = rate**count
    return markov(keep * copied + (1 - keep) / vocab, count, name=f"{count} strands, rate {rate:g}")


def vowels(order: int = 4) -> Source:
    """Vowels and all else in English, as Markov counted them in Russian (1913): two tokens.

    The text is that of Python's own language reference, which is installed with it.

    Args:
        order: The order of the chain.
    """
    from pydoc_data.topics import topics

    text = " ".join(" ".join(topics[name].lower().split()) for name in sorted(topics))
    return from_tokens(np.array([letter in "aeiou" for letter in text], dtype=np.int64), 2, order, name="vowels")
