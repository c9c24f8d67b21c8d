"""Mixtures of experts: on a CPU packed like linear layers, each expert multiplied once with all tokens it got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import PreTrainedModel
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from dus.denoisers.base import DenoiserError
from dus.denoisers.packed import PackedWeight, packable, packed_parameter, saved_plain

PACKED = "dus_packed"
"""The experts implementation, as transformers calls it."""
_WEIGHTS = ("gate_up_proj", "down_proj")


def pack_experts(model: PreTrainedModel) -> None:
    """Pack the experts of a model that are on a CPU, in place, and have it compute by them."""
    found = [module for module in model.modules() if _packs(module)]
    if found:
        model.set_experts_implementation(PACKED)
    for module in found if model.config._experts_implementation == PACKED else ():
        for name in _WEIGHTS:
            setattr(module, name, packed_parameter(getattr(module, name)))
        module.register_state_dict_post_hook(saved_plain)


def multiply_once(model: PreTrainedModel) -> None:
    """Have a model with experts in eight bits multiply each once: transformers' own products take plain numbers."""
    if any(is_traceable_wrapper_subclass(getattr(module, _WEIGHTS[0], None)) for module in model.modules()):
        model.set_experts_implementation(PACKED)


def _packs(module: nn.Module) -> bool:
    """Whether a module's experts are gated ones without biases, whose plain weights can be packed."""
    weights = [getattr(module, name, None) for name in _WEIGHTS]
    if not all(isinstance(weight, nn.Parameter) and weight.dim() == 3 and packable(weight) for weight in weights):
        return False
    usual = {"has_gate": True, "has_bias": False, "is_transposed": False, "has_post_expert_norm": False}
    return all(getattr(module, name, None) is value for name, value in usual.items()) and not hasattr(
        module, "_hf_hook"
    )


@torch.compiler.disable
def experts_forward(experts: Any, hidden: Tensor, chosen: Tensor, shares: Tensor) -> Tensor:
    """What the experts make of some tokens, as transformers calls it.

    Args:
        experts: The module with `gate_up_proj`, `[E, 2 F, D]`, and `down_proj`, `[E, D, F]`.
        hidden: Float `[T, D]`.
        chosen: Int64 `[T, K]`, each token's experts.
        shares: Float `[T, K]`, how much each counts.

    Returns:
        Float `[T, D]`.
    """
    each = chosen.shape[1]
    by_expert, order = chosen.reshape(-1).sort()
    counts = torch.bincount(by_expert, minlength=experts.num_experts).tolist()
    used = [(expert, count) for expert, count in enumerate(counts) if count]
    rows = order // each
    inner = experts._apply_gate(_products(experts.gate_up_proj, hidden.index_select(0, rows), used))
    shared = inner * shares.reshape(-1).index_select(0, order)[:, None]  # here, as it is narrower than what comes out
    out = _products(experts.down_proj, shared.to(hidden.dtype), used)
    return torch.zeros_like(hidden).index_add_(0, rows, out)


def _products(weight: Tensor, rows: Tensor, used: list[tuple[int, int]]) -> Tensor:
    """Rows, which stand expert by expert, each times its expert's weight."""
    return torch.cat(multiplied(weight, rows.split([count for _, count in used]), used))


def multiplied(weight: Tensor, parts: Sequence[Tensor], used: list[tuple[int, int]]) -> list[Tensor]:
    """For each expert that is used its rows times its weight.

    Args:
        weight: The weights of all experts, `[E, out, in]`.
        parts: Float `[count, in]`, for each expert that is used.
        used: The number of each, and how many rows it has.
    """
    if isinstance(weight, PackedWeight) and not (torch.is_grad_enabled() and parts[0].requires_grad):
        packed, multiply = weight.store.packed, torch.ops.mkldnn._linear_pointwise
        return [
            multiply(part, packed[which], None, "none", [], "") for part, (which, _) in zip(parts, used, strict=True)
        ]
    plain = weight.store.read() if isinstance(weight, PackedWeight) else weight
    return [nn.functional.linear(part, plain[which]) for part, (which, _) in zip(parts, used, strict=True)]


def check_groups(experts: int, chosen: int, groups: int, open_groups: int) -> None:
    """Refuse groups of experts that no token could choose its experts in.

    Args:
        experts: How many there are.
        chosen: How many a token goes to.
        groups: How many groups of equally many experts there are; the best two experts of each say which groups are
            open to a token.
        open_groups: How many are.

    Raises:
        DenoiserError: The groups are not of equal size, or too small, or too few are open.
    """
    size = experts // max(groups, 1)
    if groups < 1 or size < 2 or size * groups != experts or not 1 <= open_groups <= groups:
        raise DenoiserError(f"{experts} experts in {groups} groups, of which {open_groups} are open, cannot be.")
    if not 1 <= chosen <= open_groups * size:
        raise DenoiserError(f"{chosen} experts a token, of {size} in each of {open_groups} open groups, cannot be.")


class NoExpert(nn.Module):
    """What stands where a model has no shared expert."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros_like(hidden)


ALL_EXPERTS_FUNCTIONS.register(PACKED, experts_forward)
