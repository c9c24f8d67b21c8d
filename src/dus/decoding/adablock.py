"""Block lengths that end where the model is sure to end a line or a sentence: AdaBlock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dus.decoding.lengths import BlockLengthError

_FORM = re.compile(r"adablock\s*\(\s*ids\s*=\s*'([\d ]+)'\s*((?:[,;]\s*\w+\s*=\s*[^\s,;]+\s*)*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class AdaBlock:
    """Up to the delimiter that the model is surest of, where it is sure enough of one.

        b = argmax { c_i : v_i is a delimiter, i <= window },   B = b   if c_b >= tau,   else `otherwise`

    v_i is the token chosen for the i-th next position, c_i its probability, the first of equal ones. Lu et al., arXiv
    2509.26432, with the published code's order: the surest delimiter first, then the threshold. There the window is a
    quarter of the answer and delimiters are the newline's id of one tokenizer; here both are given. The call that reads
    them is the block's first, as there: choosing costs none.

    Attributes:
        reads: The names of what `lengths` is told of the next positions.
        ids: The ids of the tokens that end a block.
        tau: The least probability of one, 0 to 1.
        window: How many of the next positions are looked at.
        otherwise: The length where no delimiter is sure enough.
    """

    reads: ClassVar = ("token", "confidence")

    ids: tuple[int, ...]
    tau: float = 0.3
    window: int = 64
    otherwise: int = 32

    @classmethod
    def parse(cls, text: str) -> AdaBlock | None:
        """The rule that a text names, `adablock(ids='198 13', tau=0.3, window=64, otherwise=32)`; None if another one.

        Raises:
            BlockLengthError: It names this rule, and no way to apply it.
        """
        if not text.strip().startswith("adablock"):
            return None
        form = _FORM.fullmatch(text.strip())
        given = dict(re.findall(r"(\w+)\s*=\s*([^\s,;]+)", form[2])) if form else {"": ""}
        kinds = {"tau": float, "window": int, "otherwise": int}
        try:
            fields = {name: kinds[name](value) for name, value in given.items()}
            rule = cls(tuple(sorted({int(number) for number in form[1].split()})), **fields)  # type: ignore
            if rule.ids and 0 <= rule.tau <= 1 and min(rule.window, rule.otherwise) >= 1:
                return rule
        except (KeyError, ValueError):
            pass
        raise BlockLengthError(
            f"block_length is {text!r}, but adablock takes ids, of the tokens that end a block, as in ids='198 13', "
            "and then tau from 0 to 1, window and otherwise from 1"
        )

    @property
    def widest(self) -> int:
        """The longest length that may be chosen."""
        return max(self.window, self.otherwise)

    def lengths(self, wanted: Tensor, *, token: Tensor, confidence: Tensor) -> Tensor:
        """Int64 `[N]`, on the host: the block lengths, each such that the block holds a wanted position.

        Args:
            wanted: Bool `[N, W]`: the positions that are to be decoded, at least one in each row.
            token: Int64 `[N, W]`: the tokens chosen for the next positions.
            confidence: Float `[N, W]`: their probabilities.
        """
        place = torch.arange(wanted.shape[1])
        delimiter = torch.isin(token, torch.tensor(self.ids)) & wanted & (place < self.window)
        best, at = confidence.masked_fill(~delimiter, -1).max(dim=1)
        chosen = (at + 1).where(best >= self.tau, torch.tensor(self.otherwise))
        return chosen.maximum(wanted.int().argmax(dim=1) + 1)
