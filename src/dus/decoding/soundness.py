"""Whether what a denoiser gave were numbers: asked once a block, where tokens are read anyway, not after each step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dus.decoding.settings import GenerationError

NEVER = -1e30
"""The logit of what is never chosen: finite, so that its zero probability times it is zero, not NaN."""


@dataclass(frozen=True)
class Peaks:
    """The largest logits of a step.

    Attributes:
        rows: int64 `[N]` on the host, as indices of the user's list.
        taken: int64 `[N]` on the host, the rows' steps before this one.
        start, stop: of the block.
        peak: float `[N, R]` on the device: NaN where any logit is, or infinite, or at `NEVER` where none is allowed.
    """

    rows: Tensor
    taken: Tensor
    start: int
    stop: int
    peak: Tensor

    def broken(self) -> Tensor:
        """Bool `[N]` on the host, the rows without a number; it waits for the device."""
        return ~_sound(self.peak).all(dim=1).cpu()


def check(steps: list[Peaks]) -> None:
    """Look at the logits of some steps, all at once.

    Raises:
        GenerationError: naming the first step that broke, and its row.
    """
    if not steps or _sound(torch.cat([step.peak.flatten() for step in steps])).cpu().all():
        return
    step = next(step for step in steps if step.broken().any())
    broken = step.broken()
    row, taken, count = int(step.rows[broken][0]), int(step.taken[broken][0]), int(broken.sum())
    also = f" (and {count - 1} more)" if count > 1 else ""
    raise GenerationError(
        f"the denoiser gave NaN or no finite logit for row {row}{also}, in the block of positions {step.start} to "
        f"{step.stop - 1}, at the row's step {taken}: its weights, its dtype or a state that it keeps are broken"
    )


def _sound(peak: Tensor) -> Tensor:
    return peak.abs() < -NEVER
