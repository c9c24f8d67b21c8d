"""Linear layers whose weights lie as oneDNN reads them: on a CPU the same products in a fraction of the time."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any, cast
from weakref import WeakValueDictionary, ref

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

_ROWS = 16
"""The layout is chosen for products with so many rows, between a step's few and a canvas's many; it serves all."""


class PackedWeight(torch.Tensor):
    """A weight that is held packed, and otherwise a tensor like any other.

    Whatever reads it gets the plain numbers; what is written to it, or to a view of it, is packed anew. Both copy the
    whole weight. Another tensor cannot take it as its `data`, and it has no gradient.
    """

    store: _Store
    part: Tensor | None  # of a view the plain numbers, which share the memory of `whole`
    whole: Tensor | None

    @staticmethod
    def __new__(cls, store: _Store, part: Tensor | None = None, whole: Tensor | None = None) -> PackedWeight:  # noqa: D102
        like = store.like if part is None else part
        made: PackedWeight = torch.Tensor._make_wrapper_subclass(
            cls,
            like.shape,
            strides=like.stride(),
            dtype=like.dtype,
            device=torch.device("cpu"),
            layout=torch._mkldnn,  # type: ignore[attr-defined]
        )
        made.store, made.part, made.whole = store, part, whole
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        made = memo[id(self)] = packed_parameter(self) if self.part is None else self.part.clone()
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return packed_parameter, (self.store.dense(), self.requires_grad)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"PackedWeight({self.store.read()!r})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As any tensor's, but that what is set as `data` is packed: no operation is dispatched for that."""
        if func == torch.Tensor.data.__set__:  # type: ignore[attr-defined]
            weight, new = args
            if isinstance(weight, PackedWeight):
                if (new.shape, new.dtype, new.device) != (weight.shape, weight.dtype, weight.device):
                    raise TypeError("A packed weight takes data of its own shape, type and device; set layer.weight.")
                return weight.detach().copy_(new.detach())
        return torch._C._disabled_torch_function_impl(func, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Run an operation on the plain numbers, and keep what it writes."""
        if func is torch.ops.aten.detach.default and args[0].part is None:
            return cls(args[0].store)
        plain: list[tuple[PackedWeight, Tensor, Tensor]] = []

        def opened(value: Any) -> Any:
            if not isinstance(value, PackedWeight):
                return value
            whole = value.store.read() if value.whole is None else value.whole
            plain.append((value, whole if value.part is None else value.part, whole))
            return plain[-1][1]

        given, named = tree_map(opened, args), tree_map(opened, kwargs or {})
        out = func(*given, **named)
        aliased = [argument.alias_info for argument in func._schema.arguments if argument.alias_info is not None]
        writes = any(alias.is_write for alias in aliased)
        for value, _, whole in plain if writes else ():
            value.store.write(whole)

        def closed(value: Any) -> Any:
            if not isinstance(value, Tensor) or not aliased:
                return value
            same = next((packed for packed, part, _ in plain if part is value), None)
            if same is not None or not plain:
                return value if same is None else same
            first, _, whole = plain[0]
            return value if writes else cls(first.store, value, whole)

        return tree_map(closed, out)


class _Store:
    """One packed weight, or one for each expert, and the plain numbers as long as somebody holds a view of them."""

    def __init__(self, weight: Tensor) -> None:
        self._whole: ref[Tensor] | None = None
        self.like = torch.empty(weight.shape, dtype=weight.dtype, device="meta")
        self.write(weight)

    def write(self, whole: Tensor) -> None:
        self.packed = _packed(whole) if whole.dim() == 2 else [_packed(each) for each in whole.unbind()]

    def dense(self) -> Tensor:
        if isinstance(self.packed, Tensor):
            return self.packed.to_dense()
        return torch.stack([each.to_dense() for each in self.packed])

    def read(self) -> Tensor:
        whole = None if self._whole is None else self._whole()
        if whole is None:
            whole = self.dense()
            self._whole = ref(whole)
        return whole


def packed_parameter(weight: Tensor, requires_grad: bool = False) -> nn.Parameter:
    """A parameter that holds `[out_features, in_features]`, or one such for each expert, packed."""
    plain = weight.store.dense() if isinstance(weight, PackedWeight) else weight.detach()
    return nn.Parameter(PackedWeight(_Store(plain)), requires_grad=requires_grad)


def saved_plain(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A hook of a module, for what it saves: packed weights as plain ones."""
    for name, weight in module._parameters.items():
        if isinstance(weight, PackedWeight):
            state[prefix + name] = weight.store.dense()


class PackedLinear(nn.Linear):
    """A linear layer for inference on a CPU, whose weight is held as oneDNN reads it.

    Plain weights are rearranged at every call, and float32 products go to a library that some processors are slow in;
    packed ones are rearranged once. Results differ from the plain layer's by rounding. The layer may be moved, written
    to, adapted and saved as any other, but its weight cannot be trained; where that is replaced by one that cannot be
    packed, it is a plain layer.

    Args:
        linear: The layer to take the place of, float32 or bfloat16; only its bias is kept as it is.
        tied: Whether another layer has the same weight, as an embedding does, so that a checkpoint holds it once. Then
            the weight stays that parameter, with a packed copy beside it that follows what is written to it (but not
            to its `.data`).

    Attributes:
        weight: A parameter, `[out_features, in_features]`; a `PackedWeight`, or the shared one.
        bias: The bias, as it was given.
    """

    def __init__(self, linear: nn.Linear, *, tied: bool = False) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._settle(linear.weight, tied)
        self.bias = linear.bias
        self._enter()

    def _enter(self) -> None:
        self.number = next(_NUMBERS)
        _LAYERS[self.number] = self

    def _settle(self, weight: Tensor, tied: bool) -> None:
        """Take over a plain weight."""
        self._copy: tuple[int, Tensor] | None = None
        if tied:
            self.weight = cast("nn.Parameter", weight)
            self._copy = (weight._version, _packed(weight.detach()))
        else:
            self.weight = packed_parameter(weight)

    @property
    def packed(self) -> Tensor | None:
        """The packed weight, opaque to most of torch; None where the weight was replaced by another one."""
        weight = cast("nn.Parameter", self._parameters["weight"])
        if isinstance(weight, PackedWeight):
            return cast("Tensor", weight.store.packed)
        if self._copy is None or not _packs(self):
            return None
        if self._copy[0] != weight._version or self._copy[1].dtype is not weight.dtype:
            self._copy = (weight._version, _packed(weight.detach()))
        return self._copy[1]

    def forward(self, hidden: Tensor) -> Tensor:
        """Float `[…, out_features]` from float `[…, in_features]`."""
        if torch.compiler.is_compiling():
            return torch.ops.dus.packed_linear(hidden, self.number)
        return self.product(hidden)

    def product(self, hidden: Tensor) -> Tensor:
        """The forward itself, whose opaque weight no compiled code can hold.

        oneDNN's product has no gradient; where one is asked for, the plain numbers are multiplied.
        """
        packed = self.packed
        if torch.is_grad_enabled():
            if isinstance(self.weight, PackedWeight) and self.weight.requires_grad:
                raise RuntimeError("A packed weight cannot be trained: load the model with pack=False.")
            if hidden.requires_grad or self.weight.requires_grad:
                packed = None
        if packed is None:
            return nn.functional.linear(hidden, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(hidden, packed, self.bias, "none", [], "")

    def _apply(self, fn: Any, recurse: bool = True) -> PackedLinear:
        """As any layer's; another type or device that can be packed is, any other makes this a plain layer."""
        held = self.weight
        if not isinstance(held, PackedWeight):
            super()._apply(fn, recurse)
            return self
        self._parameters["weight"] = nn.Parameter(held.store.dense(), requires_grad=False)
        super()._apply(fn, recurse)
        moved = self.weight
        if (moved.dtype, moved.device) == (held.dtype, held.device):
            held.store.write(moved.detach())
            self._parameters["weight"] = cast("nn.Parameter", held)  # who holds the parameter still does
        elif _packs(self):
            self._settle(moved, tied=False)
        else:
            self.__class__ = nn.Linear  # type: ignore[assignment]
            del self._copy, self.number
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        saved_plain(self, destination, prefix)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copy": self._copy is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._copy = None
        if state["_copy"] and _packs(self):
            self._settle(self.weight, tied=True)
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
    held = Counter(id(weight) for module in model.modules() for weight in module._parameters.values())
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and _packs(child):
                setattr(module, name, PackedLinear(child, tied=held[id(child.weight)] > 1))


def weights(model: nn.Module) -> list[Tensor]:
    """What a model holds of weights: its parameters, and the packed copies of those that two layers share."""
    copies = [module._copy[1] for module in model.modules() if isinstance(module, PackedLinear) and module._copy]
    return [*model.parameters(), *copies]


def _packs(linear: nn.Linear) -> bool:
    """Whether the weight can be packed, and accelerate does not bring it for each call."""
    return packable(linear.weight) and not hasattr(linear, "_hf_hook")


def packable(weight: Tensor) -> bool:
    """Whether a parameter is an ordinary one, on a CPU that has the products of its type."""
    return type(weight) is nn.Parameter and weight.device.type == "cpu" and weight.dtype in _packable()


def _packable() -> tuple[torch.dtype, ...]:
    if not torch.backends.mkldnn.is_available():
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def _packed(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
