"""A causal model's distributions given some of the later tokens, by particles that pass through those tokens.

Continuations of a context are sampled token by token. At a position whose token is known it is forced, and the
particle is weighted by the probability that the model gave it; where weights degenerate the particles are resampled
(sequential Monte Carlo; Doucet and Johansen, 2009). At each position the average of the particles' own next-token
distributions estimates the model's distribution given the context and the known tokens before it (Rao-Blackwell: no
token is counted, whole distributions are averaged).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Passed:
    """What particles that passed through known tokens say.

    `means` float64 [T, V] are the distributions at each position given the context and the known tokens before it;
    `evidence` float64 [T + 1] is log p(known tokens before that position | context), the last one that of all;
    `sizes` float64 [T] the effective number of particles there; `tokens` int64 [N, T] what they passed through,
    `births` int64 [N, T] which draw each of these tokens comes from (particles that were resampled share theirs), and
    `weights` float64 [N] how much each particle counts in the end, with the last position's token.
    """

    means: Tensor
    evidence: Tensor
    sizes: Tensor
    tokens: Tensor
    births: Tensor
    weights: Tensor


class Context:
    """The tokens of a context, int64 [L], and what the model remembers of them: it is read once."""

    def __init__(self, model: PreTrainedModel, tokens: Tensor) -> None:
        self.model, self.tokens = model, tokens
        with torch.no_grad():
            read = model(input_ids=tokens[None], use_cache=True)
        self.logits: Tensor = read.logits[:, -1]
        self._memory: Any = read.past_key_values

    def memory(self, count: int) -> Any:
        """A cache of its own for `count` continuations."""
        from copy import deepcopy

        memory = deepcopy(self._memory)
        memory.batch_repeat_interleave(count)
        return memory


@torch.no_grad()
def passed(context: Context, known: Mapping[int, int], length: int, count: int, generator: Generator) -> Passed:
    """Sends `count` particles over `length` positions; `known` maps positions (0 follows the context) to tokens."""
    logits = context.logits.expand(count, -1)
    memory = context.memory(count)
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    evidence, total = [], 0.0
    means, sizes, paths = [], [], torch.zeros(count, 0, 2, dtype=torch.int64)
    for position in range(length):
        probabilities = logits.double().softmax(-1)
        means.append(weights @ probabilities)
        evidence.append(total)
        sizes.append(float(1 / weights.square().sum()))
        if position in known:
            token = torch.full((count, 1), known[position])
            weights = weights * probabilities[:, known[position]]
            total += float(weights.sum().log())
            weights = weights / weights.sum()
        else:
            token = drawn(probabilities, generator)
        paths = torch.cat([paths, torch.stack([token, torch.arange(count)[:, None]], 2)], 1)
        if position + 1 == length:
            evidence.append(total)
            break
        if 1 / weights.square().sum() < count / 2:
            chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
            memory.batch_select_indices(chosen)
            paths, token = paths[chosen], token[chosen]
            weights = torch.full_like(weights, 1 / count)
        logits = context.model(input_ids=token, past_key_values=memory, use_cache=True).logits[:, -1]
    said = (torch.tensor(evidence).double(), torch.tensor(sizes).double())
    return Passed(torch.stack(means), *said, paths[..., 0], paths[..., 1], weights)


def drawn(probabilities: Tensor, generator: Generator) -> Tensor:
    """A token of each distribution, int64 [N, 1], of float64 [N, V].

    By the cumulative distribution: over 49,152 tokens `torch.multinomial` takes longer than the model's call.
    """
    below = probabilities.cumsum(-1)
    height = torch.rand(len(probabilities), 1, dtype=torch.float64, generator=generator) * below[:, -1:]
    return torch.searchsorted(below, height, right=True).clamp(max=probabilities.shape[-1] - 1)


def joined(first: Passed, second: Passed) -> Passed:
    """What two independent sets of equally many particles say together: each counts by its evidence."""
    shares = torch.stack([first.evidence, second.evidence]).softmax(0)
    one, two = shares[:, :-1]
    means = one[:, None] * first.means + two[:, None] * second.means
    evidence = torch.stack([first.evidence, second.evidence]).logsumexp(0) - torch.tensor(2.0).log()
    sizes = 1 / (one.square() / first.sizes + two.square() / second.sizes)
    tokens = torch.cat([first.tokens, second.tokens])
    births = torch.cat([first.births, second.births + len(first.births)])
    weights = torch.cat([shares[0, -1] * first.weights, shares[1, -1] * second.weights])
    return Passed(means, evidence, sizes, tokens, births, weights)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) in nats along the last dimension."""
    return (torch.special.xlogy(first, first) - torch.special.xlogy(first, second)).sum(-1)
