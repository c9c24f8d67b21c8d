"""Planners that take tokens back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.counter import uniform
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


def _revisable(block: BlockState) -> Tensor:
    """Bool `[N, B]`: positions that this generation unmasked."""
    return block.initially_masked & ~block.masked


@register("saber")
@dataclass(frozen=True)
class Saber(Planner):
    """Saber: adaptive acceleration, and backtracking where confidence fell.

    With U the positions that were unmasked in this block and c_i their confidence then:

        tau = mean { c_i : i in U },   1 where U is empty
        I   = { i masked : p_i > tau },   the n most confident where fewer pass
        mu  = min( max( floor(n / 2), ceil(|I| / 8) ), |I| - 1 )
        take back the mu of U with the least  p_i(x_i) - c_i

    p_i(x_i) is the probability now of the token that stands there. A step that unmasks all that is left takes
    nothing back. Dong et al., arXiv 2510.18165, algorithm 1, with the counts of the published code. There the mean
    runs over all blocks and a fall is counted from the step before; a planner knows its own block, and of it the
    confidence at which a token was written, so both are taken from that.

    Attributes:
        n: The least number of positions a step.
    """

    n: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.n >= 1, f"n is {self.n}, at least 1 is needed")

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the masked positions and those that may be taken back."""
        return block.initially_masked

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the draft I."""
        unmasked = _revisable(block)
        count = unmasked.sum(dim=1, keepdim=True)
        mean = (block.confidence_then * unmasked).sum(dim=1, keepdim=True) / count.clamp(min=1)
        threshold = mean.where(count > 0, 1.0)
        above = block.masked & (prediction.confidence > threshold)
        return above | best(prediction.confidence, block.masked, self.n)

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the mu positions whose confidence fell most."""
        draft = self.select(block, prediction)
        size = draft.sum(dim=1, keepdim=True)
        number = ((size + 7) // 8).clamp(min=self.n // 2).minimum(size - 1)
        unfinished = size < block.masked.sum(dim=1, keepdim=True)
        fall = block.confidence_then - prediction.token_confidence
        return best(fall, _revisable(block), number) & unfinished


@register("remdm")
@dataclass(frozen=True)
class ReMDM(Planner):
    """Confidence remasking: tokens that were unsure when they were written may be written again.

    Over S steps the unmasked share rises as alpha_j = j / S. At step j, with M positions to generate, U of them
    unmasked and c_i their confidence then:

        sigma_max = min(1, (1 - alpha_{j+1}) / alpha_j)
        sigma_i   = softmax_{i in U}(-c_i) * sigma_max
        take back each i of U with probability sigma_i, r of them in all
        I = the round(alpha_{j+1} M) - (|U| - r) most confident masked positions

    ReMDM-conf (Wang et al., arXiv 2503.00307, section 4.1; sigma_max is eq. 7) on a linear schedule. Where the paper
    draws what to unmask, so that the share unmasked is alpha_{j+1} in expectation, this takes that number and the
    most confident positions, as decoders of large models do.

    Attributes:
        steps: S, the steps of a block; a block of fewer masks takes one step for each.
        seed: The seed of the draws.
    """

    steps: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.steps >= 1, f"steps is {self.steps}, at least 1 is needed")

    def num_steps(self, block_length: int) -> int:
        """The field, or the block's length where that is less."""
        return min(self.steps, block_length)

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the most confident masked positions, as many as the schedule is short of."""
        size = block.initially_masked.sum(dim=1, keepdim=True)
        steps = size.clamp(max=self.steps).clamp(min=1)
        target = ((block.step[:, None] + 1) * size * 2 + steps) // (2 * steps)
        kept = (_revisable(block) & ~self.revise(block, prediction)).sum(dim=1, keepdim=True)
        return best(prediction.confidence, block.masked, target - kept)

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: unmasked positions that the draw takes back."""
        unmasked = _revisable(block)
        steps = block.initially_masked.sum(dim=1).clamp(max=self.steps).clamp(min=1)
        left = (steps - block.step - 1).clamp(min=0)
        largest = (left / block.step.clamp(min=1)).clamp(max=1)[:, None]
        unsure = (-block.confidence_then).masked_fill(~unmasked, -torch.inf).softmax(dim=1)
        position = block.start[:, None] + torch.arange(unmasked.shape[1], device=unmasked.device)
        draw = uniform(self.seed, block.row[:, None], position, block.step[:, None])
        return unmasked & (draw < unsure * largest)
