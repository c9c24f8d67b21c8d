"""The rest of a block at once, as soon as the likeliest tokens have left all others behind."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dus.planners.base import Planner, Wrapper
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction

LEAST = 1e-7
"""A second probability below that counts as this much: float32 can't tell it from 0 beside a first one near 1."""


@register("prophet")
@dataclass(frozen=True)
class Prophet(Wrapper):
    """Early commit: all masked positions at once where their likeliest tokens lead by far, else the inner selection.

        mean over masked i of  log p_i(v_1) - log p_i(v_2)  >=  early, mid or late

    while under 0.33, under 0.67 or more of the block's masks are gone. Prophet (Li et al., arXiv 2508.19982), with the
    logit gap and the thresholds of its published code. There the gap is that of an answer's positions, the progress
    that of all steps, and the whole text is committed; here all three are the block's, which is what a planner sees.
    The gap is read from confidence and margin, so it is that one where the likeliest token is chosen: at temperature 0.
    A position counts at most 16.1.

    Attributes:
        inner: The planner whose selection is taken until then.
        early: The least mean gap in the first third, in nats.
        mid: In the second third.
        late: In the last one.
    """

    inner: Planner
    early: float = 7.5
    mid: float = 5.0
    late: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("early", self.early), ("mid", self.mid), ("late", self.late)):
            self.require(value >= 0, f"{name} is {value}, the likeliest token's lead is not negative")

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: what the inner planner wants, and every masked position."""
        return self.inner.wanted(block) | block.masked

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: all masked positions of rows that may commit, the inner selection of the others."""
        first = prediction.confidence
        gap = first.clamp(min=LEAST).log() - (first - prediction.margin).clamp(min=LEAST).log()
        left, all_of_it = block.masked.sum(dim=1), block.initially_masked.sum(dim=1).clamp(min=1)
        mean = gap.masked_fill(~block.masked, 0).sum(dim=1) / left.clamp(min=1)
        gone = 1 - left / all_of_it
        needed = gone.new_full(gone.shape, self.late)
        needed = needed.masked_fill(gone < 0.67, self.mid).masked_fill(gone < 0.33, self.early)
        return self.inner.select(block, prediction) | (block.masked & (mean >= needed)[:, None])
