"""Tokens that are overwritten by others, without a mask in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from dus.planners.base import Planner, Wrapper
from dus.planners.fields import MAIN
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("edited")
@dataclass(frozen=True)
class Edited(Wrapper):
    """Editing: at every call tokens of the block give way to others that the model is sure of by now.

        E_t = { i unmasked, not given : another token was chosen for i, with probability > threshold }

    When no mask is left, up to `rounds` further calls go on, as long as the last of them changed something. LLaDA2.1's
    token-to-token editing (arXiv 2602.08676) with the counts of its published `generate`, whose tokens it gives as
    `cb(tau=…) | edited`.

    Attributes:
        inner: The planner that unmasks.
        threshold: What the probability of the other token has to exceed, 0 to 1.
        rounds: The most calls once no mask is left.
    """

    inner: Planner
    threshold: float = field(default=0.9, metadata=MAIN)
    rounds: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.threshold <= 1, f"threshold is {self.threshold}, a probability lies between 0 and 1")
        self.require(self.rounds >= 0, f"rounds is {self.rounds}, a number of calls is not negative")

    @property
    def edits(self) -> bool:
        """True."""
        return True

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: what the inner planner wants, and all that was masked when the block began."""
        return self.inner.wanted(block) | block.initially_masked

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: what the inner planner selects."""
        return self.inner.select(block, prediction)

    def edit(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the tokens that give way.

        A token other than the chosen one has another probability, so the chosen one is another.
        """
        standing = block.initially_masked & ~block.masked
        if self.inner.revises:
            standing = standing & ~self.inner.revise(block, prediction)
        other = prediction.confidence != prediction.token_confidence
        return (standing & other & (prediction.confidence > self.threshold)) | self.inner.edit(block, prediction)

    def lingers(self, block: BlockState) -> Tensor:
        """Bool `[N]`: rows without a mask whose rounds are not over, and whose last one changed something."""
        done = block.initially_masked.any(dim=1) & ~block.masked.any(dim=1)
        going_on = (block.extra == 0) | (block.changed > 0)
        return (done & going_on & (block.extra < self.rounds)) | self.inner.lingers(block)
