"""Generous drafts, and tokens taken back that do not stand up to a second look."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("wino")
@dataclass(frozen=True)
class WINO(Planner):
    """WINO's wide-in, narrow-out: a low bar to be written, a high one to stay.

        I = { i masked : c_i > wide },   the most confident min(max(floor(0.7 M), 5), 20) of them, M being the masks
            left, and the most confident position where there is none
        R = { i unmasked : p_i(x_i) < narrow },   the least probable L - 1 where there are L or more, L being how many
            the step before unmasked

    Hong et al., arXiv 2507.18578, with the numbers of the published code. There p_i(x_i) comes from a shadow block:
    masks behind the text that see every token but the one that they stand for. Here it is the probability of the token
    at its own place, where the model sees it, so other tokens are taken back, and mostly fewer. The loop moreover takes
    back fewer positions than a step unmasks, so |R| <= |I| - 1.

    Attributes:
        wide: What the confidence of a masked position has to exceed, 0 to 1.
        narrow: The least probability that an unmasked token needs to stay, 0 to 1.
    """

    wide: float = field(default=0.6, metadata=MAIN)
    narrow: float = field(default=0.9, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("wide", self.wide), ("narrow", self.narrow)):
            self.require(0 <= value <= 1, f"{name} is {value}, a probability lies between 0 and 1")

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the masked positions and those that may be taken back."""
        return block.initially_masked

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the draft I."""
        confidence = prediction.confidence
        most = (block.masked.sum(dim=1, keepdim=True) * 7 // 10).clamp(min=5, max=20)
        return best(confidence, block.masked & (confidence > self.wide), most) | best(confidence, block.masked, 1)

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the tokens R."""
        unmasked = block.initially_masked & ~block.masked
        latest = (unmasked & (block.unmasked_at == block.step[:, None] - 1)).sum(dim=1, keepdim=True)
        doubtful = unmasked & (prediction.token_confidence < self.narrow)
        count = doubtful.sum(dim=1, keepdim=True)
        number = count.where(count < latest, latest - 1)
        drafted = self.select(block, prediction).sum(dim=1, keepdim=True)
        return best(-prediction.token_confidence, doubtful, number.minimum(drafted - 1))
