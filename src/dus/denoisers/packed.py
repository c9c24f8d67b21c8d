"""Linear layers whose weights lie as oneDNN reads them: on a CPU the same products in a fraction of the time."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

_ROWS = 16
"""The layout is chosen for products with so many rows, between a step's few and a canvas's many; it serves all."""


class PackedLinear(nn.Linear):
    """A linear layer for inference on a CPU: its weight is no parameter and is not trained.

    Plain weights are rearranged at every call, and float32 products go to a library that some processors are slow in;
    packed ones are rearranged once. Results differ from the plain layer's by rounding.

    Args:
        linear: the layer to take the place of, float32 or bfloat16; only its bias is kept as it is.
        tied: whether another layer has the same weight, as an embedding does, so that a checkpoint holds it once.

    Attributes:
        packed: its weight, opaque to most of torch; not a parameter.
        bias: as given.
    """

    def __init__(self, linear: nn.Linear, *, tied: bool = False) -> None:
        nn.Module.__init__(self)
        self._tied = (linear.weight,) if tied else ()  # in a tuple, so that it is no parameter of this layer
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.packed = _packed(linear.weight.detach())
        self._enter()

    def _enter(self) -> None:
        self.number = next(_NUMBERS)
        _LAYERS[self.number] = self

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weight that is shared with another layer, or a plain copy, `[out_features, in_features]`."""
        return self._tied[0] if self._tied else self.packed.to_dense()

    def forward(self, hidden: Tensor) -> Tensor:
        """Float `[…, out_features]` from float `[…, in_features]`."""
        if torch.compiler.is_compiling():
            return torch.ops.dus.packed_linear(hidden, self.number)
        return self.product(hidden)

    def product(self, hidden: Tensor) -> Tensor:
        """The forward itself, whose opaque weight no compiled code can hold.

        oneDNN's product has no gradient; where one is asked for, that of the input goes by a plain copy of the weight.
        """
        if torch.is_grad_enabled() and hidden.requires_grad:
            return nn.functional.linear(hidden, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(hidden, self.packed, self.bias, "none", [], "")

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.weight

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packed": self.weight}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "packed": _packed(state["packed"])})
        self._enter()


# Compiled code calls a layer by its number.
_NUMBERS = count()
_LAYERS: WeakValueDictionary[int, PackedLinear] = WeakValueDictionary()
torch.library.define("dus::packed_linear", "(Tensor hidden, int number) -> Tensor")


@torch.library.impl("dus::packed_linear", "cpu")
def _product(hidden: Tensor, number: int) -> Tensor:
    return _LAYERS[number].product(hidden)


@torch.library.register_fake("dus::packed_linear")
def _shape(hidden: Tensor, number: int) -> Tensor:
    return hidden.new_empty(*hidden.shape[:-1], _LAYERS[number].out_features)


def pack(model: nn.Module) -> None:
    """Pack the linear layers of a model that are on a CPU, in place.

    Those of other types than float32 and bfloat16, and those whose weights are no plain tensors, stay as they are; so
    do all where torch or the processor lacks the products, as bfloat16 ones need AVX-512 on x86.
    """
    dtypes = _packable()
    held = Counter(id(weight) for module in model.modules() for weight in module._parameters.values())
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and _plain(child) and child.weight.dtype in dtypes:
                setattr(module, name, PackedLinear(child, tied=held[id(child.weight)] > 1))


def weights(model: nn.Module) -> list[Tensor]:
    """Parameters and packed weights; tied ones once."""
    packed = [module.packed for module in model.modules() if isinstance(module, PackedLinear)]
    return [*model.parameters(), *packed]


def _plain(linear: nn.Linear) -> bool:
    """Whether the weight is an ordinary one on a CPU, and accelerate does not bring it there for each call."""
    on_cpu = linear.weight.device.type == "cpu" and not hasattr(linear, "_hf_hook")
    return on_cpu and type(linear.weight) is nn.Parameter


def _packable() -> tuple[torch.dtype, ...]:
    if not torch.backends.mkldnn.is_available():
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def _packed(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
