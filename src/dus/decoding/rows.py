"""A row on its way: its tokens, its grid of blocks, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dus.decoding.answers import Answers
from dus.decoding.settings import GenerationError, Settings
from dus.denoisers import Denoiser


@dataclass(eq=False)
class Row:
    """One row on its way, on the host. Positions are canvas columns, which count from the row's first token.

    Attributes:
        number: The number that the engine gave it.
        draw: The index of the row in the user's list, on which random draws depend.
        answers: The settings to decode it by, and what tells whether it has ended.
        tokens: Int64 `[L]`: the row with all its masks.
        masked: Bool `[L]`: where the masks are.
        limit: The number of columns up to the end of the answer; what a last whole block holds beyond them is cut.
        origin: The first masked column.
        block_length: The length of its blocks.
        start, stop: The block that is decoded.
        previous: The start of the block that was decoded before.
        opening: Whether the block has not been computed yet.
        fresh: Whether nothing of the row has been computed yet.
        choosing: Whether the next call chooses the length of the block.
        taken: The number of steps that it has taken so far.
        ends: The columns where its blocks ended, counted from `origin`.
        lines: The canvas lines that hold it; under guidance there is a second one.
    """

    number: int
    draw: int
    answers: Answers
    tokens: Tensor
    masked: Tensor
    limit: int
    origin: int
    block_length: int
    start: int = 0
    stop: int = 0
    previous: int = 0
    opening: bool = True
    fresh: bool = True
    choosing: bool = False
    taken: int = 0
    ends: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, model: Denoiser, tokens: Tensor, answers: Answers, number: int, draw: int) -> Row:
        """The row of a prompt, its masks appended; a block-causal model's last block is a whole one.

        Raises:
            GenerationError: Nothing is masked, or the row exceeds the model's context.
        """
        settings = answers.settings
        limit = len(tokens) + settings.max_new_tokens
        check_fit(len(tokens), settings.max_new_tokens, model.max_length)
        grid = model.block_length
        length = limit if grid is None else -(-limit // grid) * grid
        whole = torch.full((length,), model.mask_token_id, dtype=torch.long)
        whole[: len(tokens)] = tokens.cpu()
        masked = whole == model.mask_token_id
        if not bool(masked[:limit].any()):
            raise GenerationError("there is nothing to generate: max_new_tokens is 0 and the prompt holds no mask")
        origin = int(masked.int().argmax())
        row = cls(number, draw, answers, whole, masked, limit, origin, grid or settings.longest)
        row.start = row.stop = row.previous = origin if grid is None else origin // grid * grid
        return row

    @property
    def settings(self) -> Settings:
        """How to decode it."""
        return self.answers.settings

    def advance(self) -> bool:
        """Go on to the next block that holds a mask; False where there is none."""
        self.previous = self.start
        first = self.stop
        while first < self.limit:
            last = min(first + self.block_length, len(self.tokens))
            if bool(self.masked[first : min(last, self.limit)].any()):
                self.start, self.stop, self.opening = first, last, True
                self.previous = first if self.fresh else self.previous
                self.choosing = self.settings.auto is not None
                return True
            self.ends.append(last - self.origin)
            first = self.stop = last
        return False

    @property
    def end(self) -> int:
        """The column after its last decoded block, at most `limit`."""
        return min(self.origin + (self.ends[-1] if self.ends else 0), self.limit)


def check_fit(length: int, max_new_tokens: int, context: int | None) -> None:
    """Raise `GenerationError` where a prompt of a length and its masks exceed the context; None is no limit."""
    if context is not None and length + max_new_tokens > context:
        raise GenerationError(
            f"a prompt of {length} tokens and {max_new_tokens} new ones exceed the model's context of {context} "
            f"tokens; shorten the prompt or generate at most {max(context - length, 0)} tokens"
        )
