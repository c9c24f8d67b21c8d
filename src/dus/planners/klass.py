"""Positions that are sure of their token, and have been for two steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("klass")
@dataclass(frozen=True)
class KLASS(Planner):
    """KLASS: every masked position that is confident and whose distribution has stopped moving.

        I_t = { i masked : c_i > tau,  KL(p_i^t ‖ p_i^(t-1)) < kl,  KL(p_i^(t-1) ‖ p_i^(t-2)) < kl }

    and the most confident position where no other passes. KL-adaptive stability sampling (Kim et al., arXiv 2511.05664,
    algorithm 1), with the history of two steps of its published code and that code's fallback at one token a step.
    A block's first two steps have no such history; in the published code later blocks begin with that of the masks
    that stood behind the block before them.

    Attributes:
        tau: What the confidence has to exceed, 0 to 1; the published scripts take 0.6 or 0.9.
        kl: What both divergences have to stay under, in nats; the published scripts take 0.001 to 0.015.
    """

    tau: float = field(default=0.9, metadata=MAIN)
    kl: float = field(default=0.01, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.tau <= 1, f"tau is {self.tau}, a probability lies between 0 and 1")
        self.require(self.kl > 0, f"kl is {self.kl}, it has to be positive: no divergence is below 0")

    @property
    def compares(self) -> bool:
        """True: it reads the divergence."""
        return True

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the confident and stable positions."""
        stable = (prediction.divergence < self.kl) & (block.divergence_then < self.kl)
        ready = block.masked & stable & (prediction.confidence > self.tau)
        return ready | (best(prediction.confidence, block.masked, 1) & ~ready.any(dim=1, keepdim=True))
