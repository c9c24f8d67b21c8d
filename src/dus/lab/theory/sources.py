"""Sources of text whose every conditional distribution is known: Markov chains of any order and hidden ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dus.lab.theory.chains import LARGEST_CHAIN, TheoryError, mixing_rate, recurrent, stationary, stochastic

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Source:
    """A stationary process of tokens `x_t`, each emitted by the state `s_t` of a Markov chain.

    The one form of all sources here: a chain of order k is the chain of its contexts of k tokens, each of which
    emits its own last token.

    Attributes:
        transition: Float64 `[S, S]`, `p(s_{t+1} | s_t)`.
        emission: Float64 `[S, V]`, `p(x_t | s_t)`; one 1 in each row where the tokens determine the state.
        initial: Float64 `[S]`, the stationary distribution: a block may begin anywhere in the stream.
        memory: How many tokens in a row determine the state; None for a hidden chain, where none do.
        name: What reports call it.
    """

    transition: NDArray[np.float64]
    emission: NDArray[np.float64]
    initial: NDArray[np.float64]
    memory: int | None
    name: str = "source"

    @property
    def states(self) -> int:
        """S, the number of states."""
        return len(self.transition)

    @property
    def vocab(self) -> int:
        """V, the number of tokens."""
        return self.emission.shape[1]

    @property
    def rate(self) -> float:
        """The mixing rate ρ of the chain of states, its second largest eigenvalue modulus."""
        return mixing_rate(self.transition)

    def sample(self, count: int, length: int, seed: int = 0) -> NDArray[np.int64]:
        """Int64 `[count, length]`: independent stretches of the stationary stream."""
        rng = np.random.default_rng(seed)
        tokens = np.empty((count, length), dtype=np.int64)
        state = _draw(np.broadcast_to(self.initial, (count, self.states)), rng)
        for place in range(length):
            tokens[:, place] = _draw(self.emission[state], rng)
            state = _draw(self.transition[state], rng)
        return tokens


def _draw(laws: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Int64 `[N]`: a draw from each row of `[N, K]`."""
    cumulative = laws.cumsum(axis=1)
    level = rng.random((len(laws), 1)) * cumulative[:, -1:]
    return (cumulative <= level).sum(axis=1).clip(max=laws.shape[1] - 1)


def hidden(transition: ArrayLike, emission: ArrayLike, name: str = "hidden chain") -> Source:
    """A hidden Markov chain.

    Args:
        transition: `[S, S]`, rows are distributions over the next state; transient states are dropped.
        emission: `[S, V]`, rows are distributions over tokens.
        name: What reports call it.

    Raises:
        TheoryError: A matrix that is not stochastic, shapes that do not fit, a reducible chain.
    """
    return _source(stochastic(transition, "the transition matrix"), stochastic(emission, "the emission"), None, name)


def markov(table: ArrayLike, order: int = 1, name: str | None = None) -> Source:
    """A Markov chain of order k.

    Args:
        table: `[V^k, V]`, the distribution of the next token after each context; contexts count in base V, the
            oldest token first. For order 1 it is the transition matrix.
        order: K, at least 1.
        name: What reports call it.

    Raises:
        TheoryError: A table that is not stochastic or not of that shape, a reducible chain, too many contexts.
    """
    laws = stochastic(table, "the table")
    vocab = laws.shape[1]
    if order < 1:
        raise TheoryError(f"the order is {order}, at least 1 is needed")
    contexts = _contexts(vocab, order)
    if len(laws) != contexts:
        raise TheoryError(f"a chain of order {order} on {vocab} tokens has {contexts} contexts, not {len(laws)} rows")
    context = np.arange(contexts)[:, None]
    transition = np.zeros((contexts, contexts))
    np.put_along_axis(transition, (context * vocab + np.arange(vocab)) % contexts, laws, axis=1)
    emission = np.eye(vocab)[np.arange(contexts) % vocab]
    return _source(transition, emission, order, name or f"order {order}")


def variable_order(leaves: Mapping[tuple[int, ...], Sequence[float]], name: str = "variable order") -> Source:
    """A variable-order Markov chain: the longest listed suffix of the past gives the next token's distribution.

    Args:
        leaves: A distribution `[V]` for each suffix, its latest token last; `()` answers where no other does.
        name: What reports call it.

    Raises:
        TheoryError: No leaves, rows that are not distributions, a past that no leaf answers, a reducible chain.
    """
    if not leaves:
        raise TheoryError("a variable-order chain needs at least one leaf")
    laws = stochastic(np.array(list(leaves.values()), dtype=np.float64), "the leaves")
    vocab, order = laws.shape[1], max(1, *(len(suffix) for suffix in leaves))
    _contexts(vocab, order)
    rows = {suffix: place for place, suffix in enumerate(leaves)}
    table = []
    for context in product(range(vocab), repeat=order):
        known = [rows[context[cut:]] for cut in range(order + 1) if context[cut:] in rows]
        if not known:
            raise TheoryError(f"no leaf is a suffix of the past {context}; a leaf for () would answer for the rest")
        table.append(laws[known[0]])
    return markov(np.array(table), order, name)


def from_tokens(
    tokens: Sequence[int] | NDArray[np.int64],
    vocab: int,
    order: int = 1,
    smoothing: float = 1.0,
    least_count: int = 0,
    name: str = "text",
) -> Source:
    """The chain that a text's counts make, each context smoothed towards the one a token shorter.

        p(v | c) = (n(c v) + a p(v | c without its oldest token)) / (n(c) + a),   the empty context's parent uniform

    The recursive Dirichlet smoothing of MacKay and Bauman Peto (1995), with one concentration a for all contexts.

    Args:
        tokens: The text, ids below `vocab`.
        vocab: V.
        order: K, the longest context.
        smoothing: A, positive, so that every context can be left and entered.
        least_count: Contexts met less often than this answer as their parents do: a variable-order chain.
        name: What reports call it.

    Raises:
        TheoryError: A text shorter than the order, an id out of range, no smoothing, too many contexts.
    """
    text = np.asarray(tokens, dtype=np.int64)
    if text.ndim != 1 or len(text) <= order:
        raise TheoryError(f"a text of {text.size} tokens gives no counts for order {order}")
    if text.min() < 0 or text.max() >= vocab:
        raise TheoryError(f"the text holds the token {text.max()}, outside a vocabulary of {vocab}")
    if smoothing <= 0:
        raise TheoryError(f"the smoothing is {smoothing}, a positive one keeps the chain irreducible")
    _contexts(vocab, order)
    laws = np.full((1, vocab), 1 / vocab)
    for depth in range(order + 1):
        # The gram at place p is the token at p after `depth` tokens of context, as a number in base V.
        gram = sum(text[order - back : len(text) - back] * vocab**back for back in range(depth + 1))
        counts = np.bincount(gram, minlength=vocab ** (depth + 1)).reshape(-1, vocab).astype(np.float64)
        parent = np.tile(laws, (len(counts) // len(laws), 1))
        total = counts.sum(axis=1, keepdims=True)
        met = (total >= least_count) | (depth == 0)
        laws = np.where(met, (counts + smoothing * parent) / (total + smoothing), parent)
    return markov(laws, order, name)


def _contexts(vocab: int, order: int) -> int:
    """V^k, refused where it is more than a dense matrix can hold."""
    contexts = vocab**order
    if contexts > LARGEST_CHAIN:
        feasible = max(k for k in range(order) if vocab**k <= LARGEST_CHAIN)
        raise TheoryError(
            f"order {order} on {vocab} tokens has {contexts} contexts; up to {LARGEST_CHAIN} are feasible, "
            f"which is order {feasible}"
        )
    return contexts


def _source(transition: NDArray[np.float64], emission: NDArray[np.float64], memory: int | None, name: str) -> Source:
    """The source on the recurrent states."""
    if transition.shape[0] != transition.shape[1] or len(emission) != len(transition):
        raise TheoryError(
            f"a transition matrix of {transition.shape} and an emission of {emission.shape} do not fit: "
            "[S, S] and [S, V] are needed"
        )
    if len(transition) > LARGEST_CHAIN:
        raise TheoryError(f"a chain of {len(transition)} states is too large: up to {LARGEST_CHAIN} are feasible")
    kept = recurrent(transition)
    transition, emission = transition[np.ix_(kept, kept)], emission[kept]
    return Source(transition, emission, stationary(transition), memory, name)
