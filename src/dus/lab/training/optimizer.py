"""Muon for the matrices and AdamW for the rest, as one optimizer that one scheduler steers and one checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class MuonAdamW(torch.optim.Optimizer):
    """`torch.optim.Muon` on the matrices of the layers, `torch.optim.AdamW` on embeddings, norms and the head.

    Muon: https://kellerjordan.github.io/posts/muon; its step is orthogonal, so its learning rate is another unit than
    AdamW's. Both learning rates follow the same schedule: their groups are this optimizer's groups.
    """

    def __init__(self, model: nn.Module, *, matrix_lr: float, other_lr: float, weight_decay: float = 0.01) -> None:
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
        chosen = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in chosen]
        muon = torch.optim.Muon(matrices, lr=matrix_lr, momentum=0.95, weight_decay=weight_decay)
        adamw = torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.parts: tuple[torch.optim.Optimizer, ...] = (muon, adamw)
        super().__init__([*matrices, *others], {})
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both parts; a closure is not supported."""
        if closure is not None:
            raise ValueError("MuonAdamW takes no closure")
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()


def trapezoid(step: int, *, warmup: int, steps: int, decay: int) -> float:
    """The learning rate's factor at `step`: up over `warmup` steps, constant, then linearly to 0 over the last `decay`.

    A constant middle part ("warmup, stable, decay") lets a run be ended at any time by one short decay.
    """
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, max(0.0, (steps - step) / max(1, decay)))
    return up * down
