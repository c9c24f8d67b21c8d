"""Randomness as a function of counters: the same whatever the batch, the device or the order of calls."""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, odd, as a signed 64-bit number
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(value: Tensor) -> Tensor:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that looks random."""
    value = (value ^ _shifted(value, 30)) * _MIX_1
    value = (value ^ _shifted(value, 27)) * _MIX_2
    return value ^ _shifted(value, 31)


def uniform(seed: int | Tensor, *counters: Tensor) -> Tensor:
    """Float32 in (0, 1), a pure function of the seed and of int64 counters that broadcast against each other.

    The draws are the odd multiples of 2^-24, which float32 holds exactly: no draw rounds to 1.

    Args:
        seed: A whole number, or int64 that broadcasts against the counters, where each draw has its own.
        counters: What else tells one draw from the next.
    """
    if isinstance(seed, torch.Tensor):
        state = seed
    else:
        signed = (int(seed) + 2**63) % 2**64 - 2**63
        state = torch.full((), signed, dtype=torch.long, device=counters[0].device)  # no copy that the host waits for
    for counter in counters:
        state = _mixed(state + _GOLDEN) ^ counter
    return (_shifted(_mixed(state + _GOLDEN), 41).to(torch.float32) + 0.5) / 2**23
