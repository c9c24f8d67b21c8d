"""Block lengths chosen for each row before each block, by how uncertain the model is of what comes next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_FORM = re.compile(r"auto\s*(?:\((.*)\))?\s*", re.DOTALL)
_FIELD = re.compile(r"\s*(bits|shortest|longest)\s*=\s*(\S+?)\s*")


class BlockLengthError(ValueError):
    """A text that names no way to choose block lengths; the message says what would."""


@dataclass(frozen=True)
class Auto:
    """Of the lengths shortest, 2 shortest, 4 shortest, … up to longest, the longest that is sure enough.

        B = max { b :  Σ_{i <= b} H(p_i) <= bits },   at least `shortest`

    H(p_i) is the entropy of the i-th next position, in bits, given what is known before the block. What a block's
    steps lose by drawing tokens in parallel is at most the sum of its entropies less its joint entropy, and so less
    than `bits`, in whatever order they are drawn, as long as the block is longer than the shortest. The call that reads
    the entropies is the block's first: choosing costs none.

    Attributes:
        reads: The names of what `lengths` is told of the next positions.
        bits: The most bits of entropy in a block; more of them make longer blocks and fewer calls.
        shortest, longest: The shortest and the longest length to choose from; each choice is twice the one before.
    """

    reads: ClassVar = ("entropy",)

    bits: float = 8.0
    shortest: int = 4
    longest: int = 32

    @classmethod
    def parse(cls, text: str) -> Auto:
        """The rule that a text names: `auto`, or `auto(bits=8, shortest=4, longest=32)`, `;` for `,` as well.

        Raises:
            BlockLengthError: It names none.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise BlockLengthError(f"block_length is {text!r}, but has to be a whole number, auto or auto(bits=8)")
        parts = [part for part in re.split("[,;]", form[1] or "") if part.strip()]
        found = [_FIELD.fullmatch(part) for part in parts]
        try:
            given = {each[1]: float(each[2]) if each[1] == "bits" else int(each[2]) for each in found if each}
        except ValueError:
            given = {}
        if None in found or len(given) < len(parts):
            raise BlockLengthError(f"block_length is {text!r}; auto takes bits, shortest and longest, a number each")
        rule = cls(**given)  # type: ignore[arg-type]
        if not (rule.bits >= 0 and 1 <= rule.shortest <= rule.longest):
            raise BlockLengthError(f"block_length is {text!r}: bits start at 0, and shortest at 1, at most longest")
        return rule

    @property
    def choices(self) -> list[int]:
        """The lengths to choose from, rising."""
        found = [self.shortest]
        while 2 * found[-1] <= self.longest:
            found.append(2 * found[-1])
        return found

    @property
    def widest(self) -> int:
        """The longest length that may be chosen."""
        return self.choices[-1]

    def lengths(self, wanted: Tensor, *, entropy: Tensor) -> Tensor:
        """Int64 `[N]`, on the host: the block lengths, each such that the block holds a wanted position.

        Args:
            wanted: Bool `[N, W]`: the positions that are to be decoded, at least one in each row.
            entropy: Float `[N, W]`: the entropies of the next positions in bits, zero where none is wanted. The width W
                is at most `widest`.
        """
        choices = torch.tensor(self.choices)
        sure = (entropy.double().cumsum(dim=1) <= self.bits).sum(dim=1)
        sure = sure.masked_fill(sure == entropy.shape[1], choices[-1])
        first = wanted.int().argmax(dim=1)
        longest_sure = (choices <= sure[:, None]).sum(dim=1) - 1
        shortest_useful = (choices <= first[:, None]).sum(dim=1)
        return choices[longest_sure.maximum(shortest_useful)]
