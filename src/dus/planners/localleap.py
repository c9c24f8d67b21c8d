"""A lower bound on the confidence of those beside a sure position."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("localleap")
@dataclass(frozen=True)
class LocalLeap(Planner):
    """LocalLeap: the confident positions, and around each of them those that are nearly so.

        A_t = { i masked : c_i >= tau },   I_t = A_t ∪ { i masked : c_i >= relaxed, |i - j| <= radius for a j in A_t }

    and always the most confident position. Local determinism propagation (Kong et al., arXiv 2510.07081), with
    the defaults and the comparisons of the published code. Without an anchor it is CB's rule.

    Attributes:
        tau: The least confidence of an anchor, 0 to 1.
        relaxed: The least confidence beside one; at most tau.
        radius: How many positions on either side are beside it.
    """

    tau: float = field(default=0.9, metadata=MAIN)
    relaxed: float = 0.75
    radius: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.relaxed <= self.tau <= 1,
            f"relaxed is {self.relaxed} and tau {self.tau}, but 0 <= relaxed <= tau <= 1 is needed",
        )
        self.require(self.radius >= 0, f"radius is {self.radius}, a distance is not negative")

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: anchors, their neighbours and the most confident position."""
        confidence = prediction.confidence
        anchor = block.masked & (confidence >= self.tau)
        position = torch.arange(anchor.shape[1], device=anchor.device)
        beside = (position[:, None] - position).abs() <= self.radius
        near = (anchor[:, None] & beside).any(dim=2)
        relaxed = block.masked & near & (confidence >= self.relaxed)
        return anchor | relaxed | best(confidence, block.masked, 1)
