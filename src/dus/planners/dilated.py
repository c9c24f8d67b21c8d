"""The Dilated Unmasking Scheduler: far apart first, coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.counter import uniform
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction

ORDERS = ("coarse-to-fine", "fine-to-coarse", "entropy", "random")
GROUPS = ("levels", "residues")
BYS = ("sum", "mean")


@cache
def strides(block_length: int, base: int) -> tuple[int, ...]:
    """The strides `floor(B / base^t)`, t = 1, 2, …, the last of them 1: it takes all that is left.

    Where the formula's stride falls from above 1 to 0, what is left is a last level of its own; where it reaches 1
    before `ceil(log_base B)` steps, the block is done.
    """
    found = []
    stride = block_length
    while stride > 1:
        stride //= base
        found.append(max(stride, 1))
    return tuple(found) or (1,)


@lru_cache(maxsize=64)
def _ladders(width: int, base: int, device: torch.device) -> Tensor:
    """Int64 `[width + 1, T]`, on a device: the strides of a block of each length, 1 from its last step on."""
    powers = torch.tensor([min(base**t, width + 1) for t in range(1, len(strides(width, base)) + 1)])
    return (torch.arange(width + 1)[:, None] // powers).clamp(min=1).to(device)


@register("dus")
@dataclass(frozen=True)
class DUS(Planner):
    """Dilated Unmasking Scheduler: the positions whose offset the step's stride divides, B/2, B/4, …, 1.

    In a block of B positions k = 1..B, at step t = 1..R, with U_0 empty:

        I_t = { k not in U_{t-1} : (k - 1) mod s_t = 0 },   s_t = floor(B / base^t),   U_t = U_{t-1} ∪ I_t

    Luxembourg, Permuter, Nachmani, arXiv 2506.19037, section 3. R = ceil(log_base B) at most: the block is done as soon
    as a stride is 1, and the last step takes all that is left (where the last stride would be 0, those positions are a
    level of their own; B = 1 is one step). A position held back by another rule waits for the next stride that divides
    its offset.

    Attributes:
        base: Ratio of neighbouring strides, at least 2.
        order: The order of the groups. `coarse-to-fine` is the method; `fine-to-coarse` its reverse; `random` a
            permutation drawn for each row and block from `seed`; `entropy` takes at each step the remaining group whose
            masked positions have the least marginal entropy, an upper bound on the group's joint entropy. In these
            other orders, and with residues, a position held back is wanted again at the very next step.
        by: With `order=entropy`, whether a group's entropies are compared by `sum` or by `mean`.
        groups: `levels`, the sets I_t, which grow in size; or `residues`, the classes of k modulo `stride`, which
            are of equal size but for one position.
        stride: The stride of the residue classes; None takes the number of levels, and so the same number of steps.
        seed: The seed of `order=random`.
    """

    base: int = 2
    order: str = "coarse-to-fine"
    by: str = "sum"
    groups: str = "levels"
    stride: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.base >= 2, f"base is {self.base}, but strides shrink only from base 2 up")
        self.require(self.order in ORDERS, f"order is {self.order!r}, known are {', '.join(ORDERS)}")
        self.require(self.by in BYS, f"by is {self.by!r}, known are {', '.join(BYS)}")
        self.require(self.groups in GROUPS, f"groups is {self.groups!r}, known are {', '.join(GROUPS)}")
        self.require(self.stride is None or self.stride >= 1, f"stride is {self.stride}, at least 1 is needed")
        self.require(
            self.stride is None or self.groups == "residues",
            "stride belongs to groups=residues; the levels take theirs from base",
        )

    @property
    def scheduled(self) -> bool:
        """Whether the order is known beforehand: all but `entropy`."""
        return self.order != "entropy"

    @property
    def draws(self) -> bool:
        """Whether the order is random."""
        return self.order == "random"

    def num_steps(self, block_length: int) -> int:
        """The number of groups; `ceil(log_base B)` at most for levels."""
        levels = len(strides(block_length, self.base))
        return levels if self.groups == "levels" else min(self.stride or levels, block_length)

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the masked positions of the step's group; all masked ones where entropy decides."""
        if self.order == "entropy":
            return block.masked
        if self.order == "coarse-to-fine" and self.groups == "levels":
            ladders = _ladders(block.masked.shape[1], self.base, block.step.device)
            stride = ladders[block.length, block.step.clamp(max=ladders.shape[1] - 1)]
            return block.masked & (_offset(block) % stride[:, None] == 0)
        return block.masked & (self.turn(block) <= block.step[:, None])

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: all that is wanted, or the group of least entropy."""
        if self.scheduled:
            return self.wanted(block)
        group = self._group(block)
        return block.masked & (group == self._least_entropy(block, group, prediction))

    def turn(self, block: BlockState) -> Tensor:
        """Int64 `[N, B]`: the step at which each position is due where nothing is held back; not for `entropy`."""
        group = self._group(block)
        return group if self.order == "coarse-to-fine" else self._turns(block).gather(1, group)

    def _ladder(self, block: BlockState) -> Tensor:
        """Int64 `[N, T]`: the strides of each row's own length, 1 from the row's last step on."""
        return _ladders(block.masked.shape[1], self.base, block.length.device)[block.length]

    def _count(self, block: BlockState) -> Tensor:
        """Int64 `[N, 1]`: how many groups each row has."""
        levels = (self._ladder(block) > 1).sum(dim=1, keepdim=True) + 1
        if self.groups == "levels":
            return levels
        wanted = levels if self.stride is None else torch.full_like(levels, self.stride)
        return wanted.minimum(block.length[:, None].clamp(min=1))

    def _group(self, block: BlockState) -> Tensor:
        """Int64 `[N, B]`: each position's group: its first dividing stride, or its residue."""
        if self.groups == "residues":
            return _offset(block) % self._count(block)
        return (_offset(block) % self._ladder(block)[:, :, None] == 0).int().argmax(dim=1)

    def _turns(self, block: BlockState) -> Tensor:
        """Int64 `[N, B]`: at which step group 0, 1, … has its turn, fine to coarse or at random."""
        group, count = _offset(block).expand(len(block.step), -1), self._count(block)
        if self.order == "fine-to-coarse":
            return count - 1 - group
        draw = uniform(self.seed, block.row[:, None], block.start[:, None], group)
        return draw.masked_fill(group >= count, 2).argsort(dim=1, stable=True)

    def _least_entropy(self, block: BlockState, group: Tensor, prediction: Prediction) -> Tensor:
        """Int64 `[N, 1]`: the group with masks left whose entropy is least, ties to the coarser one."""
        zeros = torch.zeros(group.shape, device=group.device)
        count = zeros.scatter_add(1, group, block.masked.float())
        entropy = prediction.entropy.float().masked_fill(~block.masked, 0)
        if group.device.type == "cpu":
            value = zeros.scatter_add(1, group, entropy)
        else:  # where scattering adds in an order that differs from run to run
            value = (entropy[:, None] * (group[:, None] == _offset(block)[:, None])).sum(dim=2)
        if self.by == "mean":
            value = value / count.clamp(min=1)
        return value.masked_fill(count == 0, torch.inf).argmin(dim=1, keepdim=True)


def _offset(block: BlockState) -> Tensor:
    """Int64 `[B]`: k - 1, the positions counted from 0."""
    return torch.arange(block.masked.shape[1], device=block.masked.device)
