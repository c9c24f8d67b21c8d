"""Applying a planner: what it returns is checked, empty levels are passed over, and every step makes progress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dus.decoding.caches import send
from dus.planners import BlockState, Planner, PlannerError, Prediction
from dus.planners.ranking import best


@dataclass(frozen=True)
class Decision:
    """What a step does to a block, bool `[N, B]` each.

    Attributes:
        selected: The positions that are unmasked, at least one in each row with masks.
        revised: The positions that are masked again, fewer than are unmasked; None if the planner never revises.
        edited: The positions whose token is overwritten; None if the planner never edits.
        astray: The positions that the planner selected by mistake: they are not masked, or were not wanted.
    """

    selected: Tensor
    revised: Tensor | None
    edited: Tensor | None
    astray: Tensor


@dataclass(frozen=True)
class Due:
    """What the rows of a block are about next, on the host.

    Attributes:
        wanted: Bool `[N, B]`: the positions whose prediction the next step needs, at least one of each row that
            goes on, none of the others.
        masked: Bool `[N, B]`: the positions that are masked.
        flags: The flags that were asked to come along, bool `[N, B]` each.
    """

    wanted: Tensor
    masked: Tensor
    flags: tuple[Tensor, ...]


def settle(planner: Planner, block: BlockState, *flags: Tensor) -> tuple[BlockState, Due]:
    """Find what the next step is about: levels without a mask are passed over, and a row with masks wants at least one.

    Args:
        planner: The planner.
        block: The state after the last step.
        flags: Tensors, bool `[N, B]`, that are to come to the host in the same transfer.

    Returns:
        The state at the level that is wanted now, and what is due; a step costs one transfer from the device.

    Raises:
        PlannerError: The planner's `wanted` returns something else than bool `[N, B]`.
    """
    wanted = checked(planner, "wanted", planner.wanted(block), block) & block.initially_masked
    due = _due(planner, block, wanted, flags)
    stuck = _stuck(due)
    if stuck.any():
        step, length = torch.stack([block.step, block.length]).cpu().numpy()
        last = np.array([planner.num_steps(size) or size if size else 0 for size in length.tolist()]) - 1
    while stuck.any():
        passing = stuck & (step < last)
        if not passing.any():
            wanted = due.wanted | (due.masked & torch.from_numpy(stuck)[:, None])
            return block, Due(wanted, due.masked, due.flags)
        step = step + passing
        block = block.at(block.step + send(torch.from_numpy(passing), block.step.device))
        wanted = checked(planner, "wanted", planner.wanted(block), block) & block.initially_masked
        due = Due(_due(planner, block, wanted, ()).wanted, due.masked, due.flags)
        stuck = _stuck(due)
    return block, due


def _stuck(due: Due) -> np.ndarray:
    """Bool `[N]`: rows with masks of which none is wanted."""
    wanted, masked = due.wanted.numpy(), due.masked.numpy()
    return masked.any(axis=1) & ~(wanted & masked).any(axis=1)


def _due(planner: Planner, block: BlockState, wanted: Tensor, flags: tuple[Tensor, ...]) -> Due:
    """What is wanted of the rows that go on, in one transfer where it takes one."""
    if not planner.scheduled:
        going = block.masked.any(dim=1)
        wanted = wanted & (going | planner.lingers(block) if planner.edits else going)[:, None]
    if wanted.device.type == "cpu":
        return Due(wanted, block.masked, flags)
    wanted, masked, *rest = torch.stack([wanted, block.masked, *flags]).cpu()
    return Due(wanted, masked, tuple(rest))


def decide(planner: Planner, block: BlockState, wanted: Tensor, prediction: Prediction) -> Decision:
    """What a step does: at least one position of each row with masks is unmasked, and fewer are taken back than that.

    Where the planner selects nothing, the most confident wanted position is unmasked; where it takes back too
    much, the tokens that are least probable now go first.

    Args:
        planner: The planner.
        block: The state before the step.
        wanted: Bool `[N, B]`: the positions whose prediction was computed.
        prediction: The denoiser's prediction at the wanted positions.

    Raises:
        PlannerError: The planner returns something else than bool `[N, B]`.
    """
    open_to_it = wanted & block.masked
    chosen = checked(planner, "select", planner.select(block, prediction), block)
    selected = chosen & open_to_it
    selected |= best(prediction.confidence, open_to_it, 1) & ~selected.any(dim=1, keepdim=True)
    standing = block.initially_masked & ~block.masked
    revised = edited = None
    if planner.revises:
        back = checked(planner, "revise", planner.revise(block, prediction), block) & standing
        allowed = selected.sum(dim=1, keepdim=True) - 1
        # Of what was not asked about, what is known is how probable it was when it was written.
        now = prediction.token_confidence.where(wanted, block.confidence_then)
        revised = best(-now, back, allowed)
    if planner.edits:
        edited = checked(planner, "edit", planner.edit(block, prediction), block) & standing & wanted
        edited = edited if revised is None else edited & ~revised
    return Decision(selected, revised, edited, chosen & ~open_to_it)


def checked(planner: Planner, method: str, answer: object, block: BlockState) -> Tensor:
    """What a planner's method returned, known to be bool `[N, B]`."""
    shape = tuple(block.masked.shape)
    if isinstance(answer, Tensor) and answer.dtype is torch.bool and tuple(answer.shape) == shape:
        return answer
    got = f"{answer.dtype} {list(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
    raise PlannerError(f"{named(planner)}: {method} has to return a bool tensor {list(shape)}, not {got}")


def named(planner: Planner) -> str:
    """The planner's text; its repr where it is a class of the user's own that was never registered."""
    try:
        return str(planner)
    except PlannerError:
        return repr(planner)
