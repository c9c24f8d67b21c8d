"""The k best positions a step: self-confidence, its other scores, and the orders that read no score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dus.planners.base import Planner, Schedule
from dus.planners.counter import uniform
from dus.planners.dilated import DUS
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@dataclass(frozen=True)
class Ranked(Planner):
    """The k best masked positions of the block at each step; k comes from one of three fields.

    Attributes:
        steps: So many steps a block, of equal counts, the remainder going to the first ones; a block of fewer
            masks takes one step for each.
        per_step: So many positions a step; 1, token by token, is the rule where no field is given.
        like: The counts of the levels of a DUS planner, for a comparison at the same number of calls.
    """

    steps: int | None = None
    per_step: int | None = None
    like: DUS | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = [rule for rule in (self.steps, self.per_step, self.like) if rule is not None]
        if not rules:
            object.__setattr__(self, "per_step", 1)
        self.require(len(rules) <= 1, "it takes one of steps=, per_step= and like=, not several")
        self.require(self.steps is None or self.steps >= 1, f"steps is {self.steps}, at least 1 is needed")
        self.require(self.per_step is None or self.per_step >= 1, f"per_step is {self.per_step}, at least 1 is needed")
        self.require(
            self.like is None or self.like.scheduled,
            "like= takes a planner whose level sizes are known beforehand: dus, in any order but entropy",
        )

    def num_steps(self, block_length: int) -> int:
        """The number of steps that the counts add up to."""
        if self.steps is not None:
            return min(self.steps, block_length)
        if self.like is not None:
            return self.like.num_steps(block_length)
        return -(-block_length // (self.per_step or 1))

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the step's count of best masked positions."""
        return best(self.score(block, prediction), block.masked, self.count(block))

    def count(self, block: BlockState) -> Tensor | int:
        """Int64 `[N, 1]` or int: how many positions the step takes; all that are left once the plan is over."""
        if self.per_step is not None:
            return self.per_step
        sizes = block.initially_masked.sum(dim=1, keepdim=True)
        step = block.step[:, None]
        if self.steps is not None:
            steps = sizes.clamp(max=self.steps).clamp(min=1)
            planned = sizes // steps + (step < sizes % steps)
            return planned.where(step < steps, sizes)
        assert self.like is not None
        level_sizes = torch.zeros_like(block.unmasked_at).scatter_add(
            1, self.like.turn(block), block.initially_masked.long()
        )
        filled = level_sizes.gather(1, (level_sizes == 0).long().argsort(dim=1, stable=True))
        planned = filled.gather(1, step.clamp(max=filled.shape[1] - 1))
        return planned.where(planned > 0, sizes)


@register("confidence")
@dataclass(frozen=True)
class Confidence(Ranked):
    """Self-confidence: the k masked positions whose chosen token is most probable.

        I_t = top-k { max_v p_i(v) : i masked }

    LLaDA's low-confidence remasking (Nie et al., arXiv 2502.09992, section 2.4), "Conf." in the DUS paper;
    `per_step=1` is token by token.
    """


@register("entropy")
@dataclass(frozen=True)
class Entropy(Ranked):
    """The k masked positions of least entropy.

        I_t = top-k { -H(p_i) : i masked },   H in bits

    `entropy` of the sampler published with Dream (Ye et al., arXiv 2508.15487).
    """

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the negative entropy."""
        return -prediction.entropy


@register("margin")
@dataclass(frozen=True)
class Margin(Ranked):
    """The k masked positions with the widest margin between the two likeliest tokens.

        I_t = top-k { p_i(v_1) - p_i(v_2) : i masked }

    Top probability margin (Kim et al., arXiv 2502.06768, section 4.1); `topk_margin` of Dream's sampler.
    """

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the margin."""
        return prediction.margin


@dataclass(frozen=True)
class _RankedSchedule(Ranked, Schedule):
    """A ranked planner whose score reads no prediction, so that its positions are known beforehand."""

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the step's positions."""
        return best(self.order(block), block.masked, self.count(block))

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: all that is wanted."""
        return self.wanted(block)

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the order."""
        return self.order(block)

    def order(self, block: BlockState) -> Tensor:
        """Float `[N, B]`: earlier positions higher."""
        raise NotImplementedError


@register("random")
@dataclass(frozen=True)
class Random(_RankedSchedule):
    """k masked positions in an order drawn for each row and block.

        I_t = top-k { u(seed, row, position) : i masked },   u uniform in (0, 1)

    LLaDA's random remasking (arXiv 2502.09992, section 2.4), a baseline of the DUS paper.

    Attributes:
        seed: The seed of the draw, which depends on the row and the position but not on the batch.
    """

    seed: int = 0

    def order(self, block: BlockState) -> Tensor:
        """Float `[N, B]`: uniform draws."""
        offset = torch.arange(block.masked.shape[1], device=block.masked.device)
        return uniform(self.seed, block.row[:, None], block.start[:, None] + offset)


@register("left-to-right")
@dataclass(frozen=True)
class LeftToRight(_RankedSchedule):
    """The k leftmost masked positions.

        I_t = the k least i that are masked

    Autoregressive order, k tokens at once.
    """

    def blockless(self, block_lengths: Sequence[int]) -> bool:
        """Whether the counts are equal and divide every block."""
        return self.per_step is not None and all(length % self.per_step == 0 for length in block_lengths)

    def order(self, block: BlockState) -> Tensor:
        """Float `[N, B]`: minus the position."""
        offset = torch.arange(block.masked.shape[1], device=block.masked.device, dtype=torch.float32)
        return -offset.expand(block.masked.shape)


@register("halton")
@dataclass(frozen=True)
class Halton(_RankedSchedule):
    """The k masked positions that come first in Halton's sequence, which spreads any number of them evenly.

        I_t = top-k { -φ(i) : i masked },   φ(i) = Σ_b 2^(-b-1) bit_b(i), the bits of i mirrored at the binary point

    The scheduler of masked image models (Besnier et al., arXiv 2503.17076) in one dimension, where the sequence is van
    der Corput's in base 2. With `like=dus`, and a power of two as block length, these are the positions of `dus`.
    """

    def order(self, block: BlockState) -> Tensor:
        """Float `[N, B]`: minus the mirrored offset, which is exact for offsets below 2^24."""
        length = block.masked.shape[1]
        offset = torch.arange(length, device=block.masked.device)
        mirrored = torch.zeros(length, device=block.masked.device)
        for bit in range(length.bit_length()):
            mirrored += (offset >> bit & 1) * 2.0 ** (-bit - 1)
        return -mirrored.expand(block.masked.shape)
