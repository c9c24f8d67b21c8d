"""The rows on their way, and the lines that hold them: tokens, and what the trace keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dus.decoding.answers import Answers
from dus.decoding.caches import KeyValuePool, send
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


class Canvas:
    """The lines of all rows in the engine, kept together at the front.

    Attributes:
        owner: For each line in use the row that it belongs to.
        tokens, step: Int64 `[lines, W]`: the tokens, and the step that unmasked each (-1 if none did).
        confidence, entropy: Float `[lines, W]`: the confidence and the entropy in bits of each at that step.
        stale: Bool `[lines, W]`, on the host: the tokens that changed since their keys and values were computed; kept
            under `touched` only.
        pool: The keys and values; None if none are kept.
    """

    def __init__(self, model: Denoiser, cache: str) -> None:
        self.model, self.device = model, torch.device(model.device)
        self.owner: list[Row] = []
        self.cache = cache
        self.pool = None if cache == "none" else KeyValuePool(0, 0)
        self.tokens, self.step = (torch.zeros(0, 0, dtype=torch.long, device=self.device) for _ in range(2))
        self.confidence, self.entropy = (torch.zeros(0, 0, device=self.device) for _ in range(2))
        self.stale = np.zeros((0, 0), dtype=bool)

    @property
    def width(self) -> int:
        """The columns of the longest row that fits."""
        return self.tokens.shape[1]

    @property
    def used(self) -> int:
        """The columns of the longest row that is there."""
        return max(len(row.tokens) for row in self.owner)

    def reserve(self, lines: int, width: int) -> None:
        """See to it that so many lines of so many columns fit."""
        before = self.tokens.shape
        lines, width = max(lines, before[0]), max(width, before[1])
        if (lines, width) == tuple(before):
            return
        for name in ("tokens", "step", "confidence", "entropy"):
            old = getattr(self, name)
            new = old.new_zeros(lines, width)
            new[: before[0], : before[1]] = old
            setattr(self, name, new)
        self.stale = np.pad(self.stale, ((0, lines - before[0]), (0, width - before[1])))
        if self.pool is not None:
            self.pool.grow(lines, width)

    def put(self, row: Row) -> None:
        """Give a row the next lines; under guidance the second one is blind to all that was given."""
        copies = 1 if row.settings.cfg_scale == 0 else 2
        length = len(row.tokens)
        for copy in range(copies):
            line = len(self.owner)
            tokens = row.tokens if copy == 0 else torch.full_like(row.tokens, self.model.mask_token_id)
            self.tokens[line, :length] = send(tokens, self.device)
            self.tokens[line, length:] = 0
            self.step[line] = -1
            self.confidence[line] = self.entropy[line] = 0
            self.stale[line] = False
            self.owner.append(row)
            row.lines.append(line)

    def drop(self, row: Row) -> None:
        """Free the lines of a row; lines from the back take their places."""
        for line in sorted(row.lines, reverse=True):
            last = len(self.owner) - 1
            moved = self.owner.pop()
            if line != last:
                for tensor in (self.tokens, self.step, self.confidence, self.entropy):
                    tensor[line] = tensor[last].clone()
                self.stale[line] = self.stale[last]
                if self.pool is not None and self.pool.keys:
                    self.pool.move(last, line)
                self.owner[line] = moved
                moved.lines[moved.lines.index(last)] = line
        row.lines.clear()

    def cells(self, rows: Sequence[Row], width: int) -> tuple[np.ndarray, np.ndarray]:
        """Int64 `[N, B]`, where each position of the rows' blocks stands in the flat canvas, and whether it is one.

        What is beyond a row's block is given the cell of the block's first position.
        """
        facts = [[row.lines[0] * self.width + row.start, row.stop - row.start] for row in rows]
        first, size = np.array(facts, dtype=np.int64).T[:, :, None]
        offset = np.arange(width)
        inside = offset < size
        return first + offset * inside, inside

    def copies(self, rows: Sequence[Row], cells: np.ndarray) -> list[np.ndarray]:
        """The cells `[N, B]` in each of the lines that a row has: two under guidance."""
        lines = np.array([row.lines for row in rows])
        return [cells + (line - lines[:, 0])[:, None] * self.width for line in lines.T]

    def update(self, name: str, at: Tensor, new: Tensor, here: Tensor | None) -> None:
        """Write values `[T]` into the flat tensor of a name, where `here`, bool `[T]`, says so; None is everywhere."""
        flat = getattr(self, name).view(-1)
        flat.index_copy_(0, at, new if here is None else new.where(here, flat[at]))

    def take_back(self, rows: Sequence[Row], revised: Tensor) -> None:
        """Mask positions of the rows' blocks, bool `[N, B]`, again, here and in the trace."""
        cells, inside = self.cells(rows, revised.shape[1])
        place = np.arange(cells.size).reshape(cells.shape)
        place = np.where(inside, place, place[:, :1])  # as the cells: beyond a block its first position again
        table = np.stack([place, *self.copies(rows, cells)]).reshape(-1, cells.size)
        places, *copies = send(torch.from_numpy(table), self.device).unbind(0)
        back = revised.reshape(-1)[places]
        blanks = [("tokens", at, self.model.mask_token_id) for at in copies]
        for name, at, blank in (
            *blanks,
            ("step", copies[0], -1),
            ("confidence", copies[0], 0),
            ("entropy", copies[0], 0),
        ):
            flat = getattr(self, name).view(-1)
            flat.index_copy_(0, at, flat[at].masked_fill(back, blank))

    def mark(self, rows: Sequence[Row], changed: np.ndarray) -> None:
        """Note that tokens of the rows' blocks changed, bool `[N, B]`, whose keys and values are those of before."""
        if self.cache == "touched":
            cells, _ = self.cells(rows, changed.shape[1])
            for copy in self.copies(rows, cells):
                self.stale.reshape(-1)[copy[changed]] = True
