"""The matrix products of a model's calls, alone: what a step cannot go below on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dus.denoisers.experts import multiplied
from dus.denoisers.packed import PackedLinear


@dataclass
class Products:
    """Products with weights, of linear layers and of experts, as they were made; those of attention are left out.

    Attributes:
        made: For each module its name, and how many rows it got: in all, or for each of the experts that got some.
        rows: Random ones to make them again with, for each number and width.
    """

    made: list[tuple[Any, int | list[tuple[int, int]]]] = field(default_factory=list)
    rows: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Note the products of the calls within."""
        handles = [module.register_forward_pre_hook(self._note) for module in model.modules() if _multiplies(module)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note(self, module: Any, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Linear):
            self.made.append((module, given[0].numel() // module.in_features))
        else:
            counts = torch.bincount(given[1].flatten(), minlength=module.num_experts).tolist()
            self.made.append((module, [(expert, count) for expert, count in enumerate(counts) if count]))

    @torch.no_grad()
    def replay(self) -> None:
        """Make the same products again, on random rows."""
        for module, counts in self.made:
            like = module.weight if isinstance(module, nn.Linear) else module.down_proj
            for weight, which in _weights(module, counts):
                parts = []
                for _, count in which:
                    size = (count, weight.shape[-1])
                    if size not in self.rows:
                        self.rows[size] = torch.randn(size, dtype=like.dtype, device=like.device)
                    parts.append(self.rows[size])
                if isinstance(module, PackedLinear):
                    module.product(parts[0])
                elif isinstance(module, nn.Linear):
                    nn.functional.linear(parts[0], weight, module.bias)
                else:
                    multiplied(weight, parts, which)


def _weights(module: Any, counts: int | list[tuple[int, int]]) -> list[tuple[Tensor, list[tuple[int, int]]]]:
    """The weights of a module, with how many rows each of their experts gets; a linear layer is one expert."""
    if isinstance(counts, int):
        return [(module.weight, [(0, counts)])]
    return [(module.gate_up_proj, counts), (module.down_proj, counts)]


def _multiplies(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or getattr(getattr(module, "gate_up_proj", None), "ndim", 0) == 3
