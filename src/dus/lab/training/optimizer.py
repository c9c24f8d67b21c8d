"""Muon for the matrices and AdamW for the rest, as one optimizer that one scheduler steers and one checkpoint holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from dus.denoisers.arguments import fast_type

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Muon (https://kellerjordan.github.io/posts/muon), with the step of `torch.optim.Muon`.

    Of stacked experts, `[k, r, c]`, each is a matrix. All matrices `[r, c]` of one shape are orthogonalised together,
    in the type in which the device is fast: torch's takes one matrix after the other, and bfloat16 also on processors
    that have no instructions for it.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Moves every matrix by its orthogonalised Nesterov momentum; the rate of tall ones grows by sqrt(r / c).

        A closure is not supported.
        """
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape[-2:]].append(matrix)
            for shape, matrices in alike.items():
                moved = [self._momentum(matrix, group["momentum"]) for matrix in matrices]
                updates = orthogonal(torch.cat([each.reshape(-1, *shape) for each in moved])).to(moved[0].dtype)
                parts = updates.split([each.numel() // shape.numel() for each in moved])
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                steps = [part.view_as(each) for part, each in zip(parts, moved, strict=True)]
                torch._foreach_add_(matrices, steps, alpha=-rate)

    def _momentum(self, matrix: Tensor, momentum: float) -> Tensor:
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return gradient.lerp(state["momentum_buffer"].lerp_(gradient, 1 - momentum), momentum)


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """[k, r, c] with singular values near 1, in the type that `fast_type` says, by Newton-Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    x = stack.to(fast_type(stack.device.type))
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class MuonAdamW(torch.optim.Optimizer):
    """`Muon` on the matrices of the layers, `torch.optim.AdamW` on embeddings, norms and the head.

    Muon's step is orthogonal, so its learning rate is another unit than AdamW's. Both learning rates follow the same
    schedule: their groups are this optimizer's groups.
    """

    def __init__(self, model: nn.Module, *, matrix_lr: float, other_lr: float) -> None:
        matrices = [p for name, p in model.named_parameters() if p.ndim in (2, 3) and ".layers." in name]
        chosen = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in chosen]
        muon = Muon(matrices, lr=matrix_lr)
        adamw = torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.parts: tuple[torch.optim.Optimizer, ...] = (muon, adamw)
        super().__init__([*matrices, *others], {})
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both parts; a closure is not supported."""
        for part in self.parts:
            part.step(closure)

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
