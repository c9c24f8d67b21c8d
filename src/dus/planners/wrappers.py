"""Rules that change another planner's selection."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from dus.planners.base import Planner, Wrapper
from dus.planners.fields import MAIN
from dus.planners.ranking import best
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction


@register("spaced")
@dataclass(frozen=True)
class Spaced(Wrapper):
    """The spacing post-filter: of what the inner planner selects, keep positions that are far enough apart.

    Walking the selection best first (by the inner planner's score), a position stays only if it is at least

        g = max(2, floor(M * g0 / B))

    away from every one already kept; M is the number of masks left in the block of B, g0 the initial gap. What is
    rejected stays masked and is looked at again. The hybrid of the DUS paper (arXiv 2506.19037, section 4.4).

    Attributes:
        inner: The planner whose selection is filtered.
        gap: G0, in positions; 0 switches the filter off.
    """

    inner: Planner
    gap: int = field(default=8, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gap >= 0, f"gap is {self.gap}, a distance is not negative")

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the positions kept."""
        selected = self.inner.select(block, prediction)
        if self.gap == 0:
            return selected
        masks = block.masked.sum(dim=1, keepdim=True)
        gap = (masks * self.gap // block.length[:, None].clamp(min=1)).clamp(min=2)
        return _far_apart(self.score(block, prediction), selected, gap)


def _far_apart(score: Tensor, among: Tensor, gap: Tensor) -> Tensor:
    """Bool `[N, B]`: the greedy choice from `among`, best first, no two closer than `gap` (int64 `[N, 1]`).

    Each round takes the best position left of each row and strikes out its neighbourhood. Every gap is at least
    2, so half a block's rounds suffice; only on the host, where it costs nothing, a round asks whether all is done.
    """
    width = score.shape[1]
    position = torch.arange(width, device=score.device)
    value = score.clamp(min=torch.finfo(score.dtype).min).masked_fill(~among, -torch.inf)
    kept = torch.zeros_like(among)
    on_host = value.device.type == "cpu"
    for _ in range((width + 1) // 2):
        if on_host and not among.any():
            break
        top, first = value.max(dim=1, keepdim=True)
        kept |= (position == first) & (top > -torch.inf)
        among = among & ((position - first).abs() >= gap)
        value = value.masked_fill(~among, -torch.inf)
    return kept


@register("deferred")
@dataclass(frozen=True)
class Deferred(Wrapper):
    """Deferral, the paper's "skip": hold uncertain positions of the inner planner's selection back.

        I_t' = { i in I_t : c_i >= threshold },   or the most confident of I_t where none is

    What is held back is masked still, and the inner planner meets it again; the last step of a schedule takes all
    that is left. (arXiv 2506.19037; the paper's runs use 0.3.) With `order=coarse-to-fine` and B a power of the base
    every later stride divides a deferred position too; otherwise it waits for the next that does.

    Attributes:
        inner: The planner whose selection is thinned.
        threshold: The least confidence, 0 to 1.
    """

    inner: Planner
    threshold: float = field(default=0.3, metadata=MAIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.threshold <= 1,
            f"threshold is {self.threshold}, a probability lies between 0 and 1",
        )

    def num_steps(self, block_length: int) -> int | None:
        """As many as the inner planner."""
        return self.inner.num_steps(block_length)

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: what the inner planner wants; all masked positions in the last step."""
        return self.inner.wanted(block) | (block.masked & self._last(block))

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the confident ones of the inner selection."""
        chosen = self.inner.select(block, prediction)
        confidence = prediction.confidence
        sure = chosen & (confidence >= self.threshold)
        sure |= best(confidence, chosen, 1)
        return sure | (block.masked & self._last(block))

    def _last(self, block: BlockState) -> Tensor:
        """Bool `[N, 1]`: rows at the last step of their schedule; none under an adaptive planner."""
        width = block.masked.shape[1]
        if self.inner.num_steps(width) is None:
            return torch.zeros_like(block.masked[:, :1])
        steps = _steps_by_length(self.inner, width, block.step.device)
        return (block.step >= steps[block.length] - 1)[:, None]


@lru_cache(maxsize=256)
def _steps_by_length(planner: Planner, width: int, device: torch.device) -> Tensor:
    """Int64 `[width + 1]`, on a device: the planner's steps for a block of each length."""
    return torch.tensor([planner.num_steps(length) or 1 for length in range(width + 1)]).to(device)
