"""The entropy bound, discounted by distance: tokens that are far apart tell little of each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN
from dus.planners.ranking import rank
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("deb")
@dataclass(frozen=True)
class DiscountedEntropyBounded(Planner):
    """DEB: what, by rising entropy, keeps the sum of entropies bounded, each discounted by the distance to the next.

        A = {};  for i by rising entropy:  A <- A ∪ {i}  if A is empty or  Σ_{j in A} H_j rho^(d_j - 1) <= gamma
        d_j = the least distance from j to a position of A ∪ {i} that was taken after j

    By the chain rule the total correlation of A is at most the sum, over its positions but the most uncertain one, of
    what each shares with those more uncertain than itself. That is at most its entropy, which is EB's bound (arXiv
    2505.24857) and rho = 1; and where dependence falls by rho with each position, as it does on fast-mixing sources
    (arXiv 2506.19037), it is taken as the entropy times rho to the distance to the nearest of them. What is rejected
    may be followed by a farther position that fits.

    While a masked position is surer than `sure`, only such positions are looked at: greedy answers lose by tokens that
    the next step would have settled.

    Attributes:
        gamma: the bound in bits; 0 takes what is certain and one position more.
        rho: what remains of a dependence one position further on, 0 to 1.
        sure: the confidence that positions need while any has it, 0 to 1; 0 looks at all.
    """

    gamma: float = field(default=0.5, metadata=MAIN)
    rho: float = field(default=0.7, metadata=MAIN)
    sure: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gamma >= 0, f"gamma is {self.gamma}, a bound in bits is not negative")
        self.require(0 <= self.rho <= 1, f"rho is {self.rho}, it lies between 0 and 1")
        self.require(0 <= self.sure <= 1, f"sure is {self.sure}, a probability lies between 0 and 1")

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the negative entropy."""
        return -prediction.entropy

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the positions under the bound."""
        among = block.masked
        if self.sure > 0:
            certain = among & (prediction.confidence >= self.sure)
            among = certain | (among & ~certain.any(dim=1, keepdim=True))
        return _bounded(prediction.entropy, among, self.gamma, self.rho)


def _bounded(entropy: Tensor, among: Tensor, gamma: float, rho: float) -> Tensor:
    """Bool `[N, B]`: the greedy choice from `among` by rising entropy, place by place, all rows at once.

    Only on the host, where it costs nothing, the loop asks whether any row has a candidate at the place.
    """
    width = entropy.shape[1]
    position = torch.arange(width, device=entropy.device)
    order = torch.empty_like(among, dtype=torch.long)
    order = order.scatter_(1, rank(-entropy, among), position.expand_as(order))
    taken = torch.zeros_like(among)
    nearest = torch.full_like(order, width)  # to a position taken later
    on_host = entropy.device.type == "cpu"
    for place in range(width):
        at = order[:, place : place + 1]
        candidate = among.gather(1, at)
        if on_host and not candidate.any():
            break
        near = nearest.minimum((position - at).abs())
        cost = (entropy * rho ** (near - 1).clamp(min=0)).masked_fill(~taken, 0).sum(dim=1, keepdim=True)
        take = candidate & (cost <= gamma) if place else candidate
        here = position == at
        nearest = near.masked_fill(here, width).where(take, nearest)
        taken = taken | (here & take)
    return taken
