"""As many positions a step as a bound on their uncertainty lets through."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN
from dus.planners.ranking import best, rank
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


def _prefix(score: Tensor, among: Tensor, passes: Tensor) -> Tensor:
    """Bool `[N, B]`: by falling score as many positions of `among` as places pass, at least one.

    Args:
        score: Float `[N, B]`.
        among: Bool `[N, B]`, the positions that count.
        passes: Bool `[N, B]`, by place: whether the position there may still be taken; after one that may not, none.
    """
    return best(score, among, passes.sum(dim=1, keepdim=True).clamp(min=1))


def _by_place(values: Tensor, score: Tensor, among: Tensor) -> Tensor:
    """Float `[N, B]`: `values` of the positions of `among` by falling score, then zeros."""
    return torch.empty_like(values).scatter_(1, rank(score, among), values.masked_fill(~among, 0))


@register("eb")
@dataclass(frozen=True)
class EntropyBounded(Planner):
    """EB: the longest prefix, by rising entropy, whose joint error is bounded.

        H_(1) <= H_(2) <= …:   the largest n with  Σ_{i<=n} H_(i) - max_{i<=n} H_(i) <= gamma,   at least 1

    Entropy-bounded unmasking (Ben-Hamu et al., arXiv 2505.24857, eq. 2, ordered by entropy), the entropies in bits
    as in the DUS paper. The sum less the maximum bounds the mutual information of the tokens taken together (eq. 8).

    Attributes:
        gamma: The bound in bits; 0 takes what is certain and one position more. The DUS paper uses 0.01 to 4.
    """

    gamma: float = field(default=0.1, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gamma >= 0, f"gamma is {self.gamma}, a bound in bits is not negative")

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the negative entropy."""
        return -prediction.entropy

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the prefix under the bound."""
        score = self.score(block, prediction)
        entropy = _by_place(prediction.entropy, score, block.masked)
        return _prefix(score, block.masked, entropy.cumsum(dim=1) - entropy <= self.gamma)


@register("cb")
@dataclass(frozen=True)
class ConfidenceBounded(Planner):
    """CB: every masked position that is confident enough, and always the most confident ones.

        I_t = { i masked : c_i >= tau } ∪ { the `least` positions of highest c_i }

    Fast-dLLM's threshold rule (Wu et al., arXiv 2505.22618, section 3.3 and algorithm 1), with >= as in its code.
    LLaDA2.0 (arXiv 2512.15745) decodes with tau = 0.95 and at least an equal share of the block a step.

    Attributes:
        tau: The least confidence, 0 to 1. The DUS paper uses 0.3 to 0.9.
        least: The least number of positions a step.
    """

    tau: float = field(default=0.9, metadata=MAIN)
    least: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.tau <= 1, f"tau is {self.tau}, a probability lies between 0 and 1")
        self.require(self.least >= 1, f"least is {self.least}, at least 1 is needed")

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the confident positions."""
        confidence = prediction.confidence
        return block.masked & ((confidence >= self.tau) | best(confidence, block.masked, self.least))


@register("factor")
@dataclass(frozen=True)
class Factor(Planner):
    """Fast-dLLM's factor rule: the more positions at once, the more confident each has to be.

        c_(1) >= c_(2) >= …:   the largest n with  (n + 1) (1 - c_(n)) < f,   at least 1

    Factor-based parallel decoding (Wu et al., arXiv 2505.22618, section 3.3 and algorithm 1). With f = 1 the greedy
    parallel choice equals the greedy sequential one, whatever the joint distribution (theorem 1).

    Attributes:
        f: The factor; larger takes more positions.
    """

    f: float = field(default=1.0, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.f > 0, f"f is {self.f}, it has to be positive")

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the prefix under the bound."""
        confidence = prediction.confidence
        by_place = _by_place(confidence, confidence, block.masked)
        count = torch.arange(1, confidence.shape[1] + 1, device=confidence.device)
        return _prefix(confidence, block.masked, (count + 1) * (1 - by_place) < self.f)
