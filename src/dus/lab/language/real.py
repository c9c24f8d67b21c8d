"""A nearly perfect denoiser of real English: a causal model's conditionals given tokens on both sides.

Given the written tokens of a block behind a context, particles pass through them (`particles.passed`). Where no written
token follows, the average of their next-token distributions is the conditional, without counting tokens; where one
does, it is the share of the particles, by their weights at the end, that have each token (importance sampling). A
block whose first tokens are written begins behind them, so that left to right is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from dus.denoisers import Denoiser, DenoiserError
from dus.denoisers.base import Read
from dus.denoisers.columns import take
from dus.lab.language.particles import Context, Passed, passed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RealDenoiser(Denoiser):
    """The conditionals of a block behind one context; a canvas is the block alone, [N, B].

    Attributes:
        sizes: for each state of the block that was asked for (its tokens), the effective number of particles that stand
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
            DenoiserError: a cache is given, or padding.
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
