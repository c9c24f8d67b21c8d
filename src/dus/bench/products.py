"""The matrix products of a model's calls, alone: what a step cannot go below on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_PRODUCTS = [_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten._grouped_mm.default]
_PRODUCTS += [torch.ops.mkldnn._linear_pointwise.default]


@dataclass
class Products:
    """All matrix products as torch was asked for them: with weights, of experts and routers, and of attention.

    Those within torch's own attention, which is one operation, are not seen.

    Attributes:
        made: For each the operation and what it was given; of the tensors that are no weights random ones like them.
        random: These, for each shape.
    """

    made: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    random: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Note the products of the calls within."""
        kept = {each.untyped_storage().data_ptr() for each in model.parameters() if not _opaque(each)}
        with _Watch(self, kept):
            yield

    def note(self, operation: Any, given: tuple[Any, ...], named: dict[str, Any], weights: set[int]) -> None:
        """One product, and where plain weights lie."""

        def held(value: Any) -> Any:
            return value if _is_weight(value, weights) else self._like(value)

        self.made.append((operation, tuple(map(held, given)), {name: held(value) for name, value in named.items()}))

    def _like(self, given: Any) -> Any:
        """Random numbers as something that is no weight, which all products of its shape share."""
        if not isinstance(given, Tensor) or not given.is_floating_point():
            return given
        key = (tuple(given.shape), given.stride(), given.dtype)
        if key not in self.random:
            self.random[key] = torch.empty_strided(*key[:2], dtype=given.dtype, device=given.device).normal_()
        return self.random[key]

    @torch.no_grad()
    def replay(self) -> None:
        """Make the same products again."""
        for operation, given, named in self.made:
            operation(*given, **named)


class _Watch(TorchDispatchMode):
    def __init__(self, products: Products, weights: set[int]) -> None:
        super().__init__()
        self.products, self.weights = products, weights

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _PRODUCTS:
            self.products.note(func, args, kwargs or {}, self.weights)
        return out


def _opaque(tensor: Tensor) -> bool:
    """Whether a tensor has no memory of its own to be known by: it is packed, or stands for others."""
    return type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided


def _is_weight(given: Any, weights: set[int]) -> bool:
    if not isinstance(given, Tensor):
        return False
    return _opaque(given) or given.untyped_storage().data_ptr() in weights
