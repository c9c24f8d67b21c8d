"""The loop's promise that every step makes progress, whatever the planner does."""

from __future__ import annotations

import torch
from torch import Tensor

from dus.decoding.canvas import send
from dus.planners import BlockState, Planner, Prediction
from dus.planners.ranking import best


def settle(planner: Planner, block: BlockState) -> tuple[BlockState, Tensor, Tensor]:
    """What this step is about: levels without a mask are passed over, and a row with masks wants at least one.

    Returns:
        The state at the level that is wanted now; and on the host, in the one transfer of a step, bool `[N, B]`
        twice: the wanted positions and the masked ones.
    """
    while True:
        wanted, masked = _on_host(planner.wanted(block) & block.initially_masked, block.masked)
        stuck = masked.any(dim=1) & ~(wanted & masked).any(dim=1)
        if not stuck.any():
            return block, wanted, masked
        step, length = torch.stack([block.step, block.length]).cpu()
        last = torch.tensor([planner.num_steps(size) or size if size else 0 for size in length.tolist()]) - 1
        passing = stuck & (step < last)
        if not passing.any():
            return block, wanted | (masked & stuck[:, None]), masked
        block = block.at(block.step + send(passing, block.step.device))


def _on_host(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors alike, in one transfer where it takes one."""
    if one.device.type == "cpu":
        return one, other
    both = torch.stack([one, other]).cpu()
    return both[0], both[1]


def decide(planner: Planner, block: BlockState, wanted: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor | None]:
    """Bool `[N, B]` twice: what to unmask, at least one position a row, and what to take back, fewer than that or None.

    Where the planner selects nothing, the most confident wanted position is unmasked; where it takes back too
    much, the tokens that are least probable now go first.
    """
    open_to_it = wanted & block.masked
    selected = planner.select(block, prediction) & open_to_it
    selected |= best(prediction.confidence, open_to_it, 1) & ~selected.any(dim=1, keepdim=True)
    if not planner.revises:
        return selected, None
    back = planner.revise(block, prediction) & block.initially_masked & ~block.masked
    allowed = selected.sum(dim=1, keepdim=True) - 1
    return selected, best(-prediction.token_confidence, back, allowed)


def positions(wanted: Tensor) -> Tensor:
    """Int64 `[R]` where all rows want the same, else `[N, R]`; short rows repeat their first position.

    Args:
        wanted: bool `[N, B]` on the host, at least one a row.
    """
    if len(wanted) == 1 or bool((wanted == wanted[0]).all()):
        return wanted[0].nonzero()[:, 0]
    count = wanted.sum(dim=1, keepdim=True)
    order = (~wanted).long().argsort(dim=1, stable=True)[:, : int(count.max())]
    return order.where(torch.arange(order.shape[1]) < count, order[:, :1])
