"""The engine's lines: the token tensor of all rows in it, and what the trace keeps of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dus.decoding.caches import KeyValuePool, send
from dus.decoding.rows import Row
from dus.denoisers import Denoiser


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
        back = revised & send(torch.from_numpy(inside), self.device)
        for copy in self.copies(rows, cells):
            self.tokens.view(-1)[send(torch.from_numpy(copy), self.device)[back]] = self.model.mask_token_id
        at = send(torch.from_numpy(cells), self.device)[back]
        for target, blank in ((self.step, -1), (self.confidence, 0), (self.entropy, 0)):
            target.view(-1)[at] = blank

    def mark(self, rows: Sequence[Row], changed: np.ndarray) -> None:
        """Note that tokens of the rows' blocks changed, bool `[N, B]`, whose keys and values are those of before."""
        if self.cache == "touched":
            cells, _ = self.cells(rows, changed.shape[1])
            for copy in self.copies(rows, cells):
                self.stale.reshape(-1)[copy[changed]] = True
