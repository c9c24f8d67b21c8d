"""Any fixed schedule, given as the positions of each step: in a file, as `dus calibrate` writes it, or in the text."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from dus.planners.base import Schedule
from dus.planners.fields import PlannerError, require
from dus.planners.registry import register
from dus.planners.state import BlockState

LARGEST_FILE = 1 << 20
"""Bytes of a file of levels; what is larger is something else."""


@register("levels")
@dataclass(frozen=True)
class Levels(Schedule):
    """The positions of each step as somebody wrote them down, such as `dus calibrate` for one model.

        I_t = level t of the list,   t = 1, 2, …

    The levels hold each offset 0, 1, …, B - 1 of a block once, and belong to blocks of B positions: a run with blocks
    of another length is refused before it begins. A shorter block, as the last one of an answer may be, takes the
    levels without what lies beyond its end, and no step for a level that has nothing left. A position held back by
    another rule is wanted again at the very next step.

    Attributes:
        file: A JSON file, an object with `block_length` and `levels` (lists of offsets from 0); what else it holds is
            not read. It is read once, when the planner is made.
        groups: The levels themselves, offsets separated by spaces and levels by slashes: `0 2/1 3`.
    """

    file: str | None = None
    groups: str | None = None
    levels: tuple[tuple[int, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            (self.file is None) != (self.groups is None),
            "it takes file=…, a file that dus calibrate wrote, or groups=…, as in '0 2/1 3'",
        )
        levels = _read(self.file) if self.file is not None else _parsed(self.groups or "")
        object.__setattr__(self, "levels", levels)

    @property
    def block_length(self) -> int:
        """B, the length of the blocks that the levels are for."""
        return sum(len(level) for level in self.levels)

    def num_steps(self, block_length: int) -> int:
        """The number of levels that have a position in a block of this length."""
        self._require(block_length)
        return sum(min(level) < block_length for level in self.levels)

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the masked positions whose level has its turn, or had it."""
        return block.masked & (self.turn(block) <= block.step[:, None])

    def turn(self, block: BlockState) -> Tensor:
        """Int64 `[N, B]`: the step at which each position is due where nothing is held back."""
        width = block.masked.shape[1]
        self._require(width)
        level_of, first = _tables(self.levels, block.length.device)
        met = (first < block.length[:, None]).long()
        return (met.cumsum(dim=1) - 1).clamp(min=0)[:, level_of[:width]]

    def check(self, block_length: int, vocab_size: int | None = None) -> None:
        """Refuse blocks of another length than the levels are for."""
        self.require(
            block_length == self.block_length,
            f"these are for blocks of {self.block_length} positions, not of {block_length}: "
            f"decode with block_length={self.block_length}",
        )

    def reads(self) -> tuple[Path, ...]:
        """The file, where the levels come from one."""
        return () if self.file is None else (Path(self.file),)

    def self_contained(self) -> Levels:
        """The levels themselves in place of their file."""
        return Levels(groups="/".join(" ".join(map(str, level)) for level in self.levels))

    @classmethod
    def example(cls, block_length: int) -> Levels:
        """The second half of a block, then the first."""
        order = [*range(block_length // 2, block_length), *range(block_length // 2)]
        halves = [order[: block_length - block_length // 2], order[block_length - block_length // 2 :]]
        return cls(groups="/".join(" ".join(map(str, half)) for half in halves if half))

    def _require(self, block_length: int) -> None:
        self.require(
            block_length <= self.block_length,
            f"these are for blocks of {self.block_length} positions, not of {block_length}: "
            f"decode with block_length={self.block_length}",
        )


@lru_cache(maxsize=64)
def _tables(levels: tuple[tuple[int, ...], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Int64 `[B]` and `[T]`, on a device: the level of each offset, and the first offset of each level."""
    level_of = torch.empty(sum(map(len, levels)), dtype=torch.long)
    for number, level in enumerate(levels):
        level_of[list(level)] = number
    return level_of.to(device), torch.tensor([min(level) for level in levels]).to(device)


def _read(name: str) -> tuple[tuple[int, ...], ...]:
    """The levels in a file."""
    path, source = Path(name), f"levels: {name}"
    require(path.is_file(), f"{source} is no file; dus calibrate writes one")
    require(path.stat().st_size <= LARGEST_FILE, f"{source} is too large for a file of levels")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PlannerError(f"{source} is no JSON: {type(error).__name__}") from None
    whole = isinstance(record, dict) and {"block_length", "levels"} <= record.keys()
    require(whole, f"{source} is no file of levels: it needs an object with block_length and levels")
    levels = _checked(record["levels"], source)
    length = sum(map(len, levels))
    require(
        record["block_length"] == length,
        f"{source} says a block of {record['block_length']}, but its levels hold {length} positions",
    )
    return levels


def _parsed(text: str) -> tuple[tuple[int, ...], ...]:
    """The levels of a text such as `0 2/1 3`."""
    try:
        levels = [[int(offset) for offset in level.split()] for level in text.split("/")]
    except ValueError:
        raise PlannerError(f"levels: groups is {text!r}, but has to be whole numbers, as in '0 2/1 3'") from None
    return _checked(levels, "levels: groups")


def _checked(levels: object, source: str) -> tuple[tuple[int, ...], ...]:
    """The levels, known to hold each offset 0, 1, …, B - 1 once."""
    lists = isinstance(levels, list) and all(isinstance(level, list) and level for level in levels)
    require(lists, f"{source} has to be a list of levels, each a list of at least one offset")
    assert isinstance(levels, list)
    offsets = [offset for level in levels for offset in level]
    require(all(type(offset) is int for offset in offsets), f"{source} holds an offset that is no whole number")
    twice = next((offset for offset, count in Counter(offsets).items() if count > 1), None)
    require(twice is None, f"{source} holds the offset {twice} twice")
    missing = next((offset for offset in range(len(offsets)) if offset not in set(offsets)), None)
    require(
        missing is None,
        f"{source} lacks the offset {missing}: a block of {len(offsets)} has the offsets 0 to {len(offsets) - 1}",
    )
    return tuple(tuple(sorted(level)) for level in levels)
