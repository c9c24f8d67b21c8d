"""Muon for all matrices of one shape at once: a step is a few dozen kernels, however many layers there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class BatchedMuon:
    """Muon (https://kellerjordan.github.io/posts/muon) with the step of `torch.optim.Muon`.

    Matrices [r, c] of one shape are stacked, [k, r, c], and orthogonalised together. The momentum is kept in stacks.
    """

    def __init__(self, matrices: Iterable[Tensor], *, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self.groups = list(shapes.values())
        self.buffers = [torch.zeros_like(torch.stack([m.detach() for m in group])) for group in self.groups]
        self.momentum, self.weight_decay = momentum, weight_decay

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Moves every matrix by its orthogonalised Nesterov momentum; the rate of tall ones grows by sqrt(r / c)."""
        for group, buffer in zip(self.groups, self.buffers, strict=True):
            gradient = torch.stack([m.grad for m in group if m.grad is not None])
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(buffer, self.momentum)).to(buffer.dtype)
            rows, columns = buffer.shape[-2:]
            rate = lr * max(1.0, rows / columns) ** 0.5
            torch._foreach_mul_(group, 1 - lr * self.weight_decay)
            torch._foreach_add_(group, list(update.unbind()), alpha=-rate)


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """[k, r, c] with singular values near 1, in bfloat16, by Newton-Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
