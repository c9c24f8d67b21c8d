"""The sources that the report looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dus.lab.theory.randoms import random_hidden, random_markov, random_variable_order
from dus.lab.theory.sources import Source, from_tokens, markov


@dataclass(frozen=True)
class Kind:
    """A family of random sources.

    Attributes:
        name: what the report calls it.
        vocab: tokens in the studies that can afford them; 2 in the others.
        build: of a vocabulary size, a mixing rate and a seed, the source.
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
        count: k; the tokens of a chain are k places apart.
        rate: the mixing rate of the whole, a token; a chain keeps its token with probability `rate^k`.

    Raises:
        TheoryError: too many contexts.
    """
    copied = np.eye(vocab)[np.arange(vocab**count) // vocab ** (count - 1)]
    keep = rate**count
    return markov(keep * copied + (1 - keep) / vocab, count, name=f"{count} strands, rate {rate:g}")


def vowels(order: int = 4) -> Source:
    """Vowels and all else in English, as Markov counted them in Russian (1913): two tokens.

    The text is that of Python's own language reference, which is installed with it.

    Args:
        order: of the chain.
    """
    from pydoc_data.topics import topics

    text = " ".join(" ".join(topics[name].lower().split()) for name in sorted(topics))
    return from_tokens(np.array([letter in "aeiou" for letter in text], dtype=np.int64), 2, order, name="vowels")
