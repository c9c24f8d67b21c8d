"""A nearly perfect denoiser of real English: a causal model's conditionals given both sides, by particles.

Given the written tokens of a block behind a context, particles pass through them (`passed`). Where no written
token follows, the average of their next-token distributions is the conditional, without counting tokens; where one
does, it is the share of the particles, by their weights at the end, that have each token (importance sampling). A
block whose first tokens are written begins behind them, so that left to right is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from dus.denoisers import Denoiser, DenoiserError
from dus.denoisers.base import Read
from dus.denoisers.columns import take

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


class RealDenoiser(Denoiser):
    """The conditionals of a block behind one context; a canvas is the block alone, [N, B].

    Attributes:
        sizes: For each state of the block that was asked for (its tokens), the effective number of particles that stand
            behind each position's distribution, float64 [B]: all of them where none was resampled or weighted.
    """

    def __init__(self, model: PreTrainedModel, context: Tensor, particles: int, seed: int) -> None:
        self.model, self.context = model, context
        self.mask_token_id = int(model.config.vocab_size)
        self.vocab_size = self.mask_token_id + 1
        self.particles, self.seed = particles, seed
        self.sizes: dict[tuple[int, ...], Tensor] = {}
        self._known: dict[tuple[int, ...], tuple[int, Tensor]] = {}

    def logits(
        self, canvas: Tensor, *, read: Read, attention_mask: Tensor | None = None, cache: object | None = None
    ) -> Tensor:
        """Natural log-probabilities, float32 [N, R, V + 1]; of a written position they are those of its token.

        Raises:
            DenoiserError: A cache is given, or padding.
        """
        if cache is not None or (attention_mask is not None and not attention_mask.all()):
            raise DenoiserError("this source knows whole blocks only: use cache='none'")
        last = int((read[1] if isinstance(read, tuple) else read).max())
        return take(torch.stack([self._row(row, last) for row in canvas.tolist()]), read)

    def _row(self, row: list[int], last: int) -> Tensor:
        """Float32 [B, V + 1]; positions behind `last` may be left at zero probability."""
        state = tuple(row)
        reach, found = self._known.get(state, (-1, torch.empty(0)))
        if reach < last:
            found = self._conditionals(row, last)
            self._known[state] = (last, found)
        return found

    def _conditionals(self, row: list[int], last: int) -> Tensor:
        begun = next((place for place, token in enumerate(row) if token == self.mask_token_id), len(row))
        known = {place - begun: row[place] for place in range(begun, len(row)) if row[place] != self.mask_token_id}
        length = max(last - begun, max(known, default=0)) + 1
        context = Context(self.model, torch.cat([self.context, torch.tensor(row[:begun], dtype=torch.int64)]))
        generator = Generator().manual_seed(self.seed)
        found = passed(context, known, length, self.particles if length > 1 else 1, generator)
        shares = torch.zeros(len(row), self.vocab_size, dtype=torch.float64)
        for place, token in enumerate(row):
            if token != self.mask_token_id:
                shares[place, token] = 1
        sizes = torch.full((len(row),), float(self.particles), dtype=torch.float64)
        weighted = max(known, default=-1)
        for place in range(length):
            if place > weighted:
                shares[begun + place, :-1] = found.means[place]
                sizes[begun + place] = found.sizes[place] if length > 1 else self.particles
            elif place not in known:
                shares[begun + place].scatter_add_(0, found.tokens[:, place], found.weights)
                sizes[begun + place] = ancestors(found, place)
        self.sizes[tuple(row)] = sizes
        return shares.log().clamp(min=-1e30).float()

    @torch.no_grad()
    def likelihood(self, tokens: Tensor) -> Tensor:
        """Float64 [B]: log p(token | context and the tokens before it) of a block, in nats."""
        row = torch.cat([self.context, tokens])
        logs = self.model(input_ids=row[None]).logits[0, len(self.context) - 1 : -1].double().log_softmax(-1)
        return logs.gather(1, tokens[:, None])[:, 0]


def ancestors(found: Passed, place: int) -> float:
    """The effective number of different draws at a position among the particles that are left in the end."""
    weights = torch.zeros(len(found.weights), dtype=torch.float64)
    weights.scatter_add_(0, found.births[:, place], found.weights)
    return float(1 / weights.square().sum())
