"""Which rows are decoded together: those of similar length, and no more than fit in memory."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterable

import torch

from dus.decoding.memory import free_bytes, row_bytes
from dus.decoding.settings import GenerationError, Settings
from dus.denoisers import Denoiser

SHARE = 0.8
"""Of the free memory, what is planned with: the estimate is rough, and memory comes in pieces."""


class BatchWarning(UserWarning):
    """Rows that do not fit in memory together are decoded a part at a time."""


class Batches:
    """The rows that still wait.

    Args:
        model: the denoiser.
        settings: how to decode.
        lengths: of each row, with all its masks.
        most: rows at once.
    """

    def __init__(self, model: Denoiser, settings: Settings, lengths: list[int], most: int) -> None:
        self.model, self.settings, self.lengths, self.most = model, settings, lengths, most
        self.device = torch.device(getattr(model, "device", "cpu"))
        self.waiting = sorted(range(len(lengths)), key=lengths.__getitem__)
        self.warned = False

    def following(self) -> list[int]:
        """The rows to decode next, ascending; none when all are done. Warns where memory, not `most`, sets the bound.

        Raises:
            GenerationError: where a row does not fit alone.
        """
        count = min(self.most, len(self.waiting))
        free = free_bytes(self.device) if count else None
        if free is not None:
            fitting = bisect_right(range(1, count + 1), SHARE * free, key=self._need)
            if not fitting and self._need(1) > free:
                raise self._too_long(self.waiting[0], f"needs about {_gb(self._need(1))}, and {_gb(free)} are free")
            if fitting < count and not self.warned:
                self.warned = True  # how much is free changes from batch to batch, what is wrong does not
                _warn(
                    f"{count} rows of {self.lengths[self.waiting[count - 1]]} tokens need about "
                    f"{_gb(self._need(count))}, and {_gb(free)} are free: they are decoded {max(fitting, 1)} at a time"
                )
            count = max(fitting, 1)
        return sorted(self.waiting[:count])

    def finished(self, rows: Iterable[int]) -> None:
        """Note rows that are done."""
        done = set(rows)
        self.waiting = [row for row in self.waiting if row not in done]

    def halve(self, rows: list[int]) -> None:
        """Go on with half as many rows at once, because these did not fit.

        Raises:
            GenerationError: it was one row alone.
        """
        if len(rows) == 1:
            raise self._too_long(rows[0], "does not fit in the device's memory")
        self.most = len(rows) // 2
        _warn(
            f"{len(rows)} rows do not fit in the device's memory together: those that are not done start again, "
            f"{self.most} at a time"
        )

    def _need(self, count: int) -> int:
        """Bytes for so many of the waiting rows, padded to the longest of them."""
        return count * row_bytes(self.model, self.settings, self.lengths[self.waiting[count - 1]])

    def _too_long(self, row: int, what: str) -> GenerationError:
        return GenerationError(
            f"row {row}, of {self.lengths[row]} tokens, {what}: a shorter prompt, fewer new tokens, shorter blocks or "
            "an int8 model take less"
        )


def _warn(message: str) -> None:
    warnings.warn(message, BatchWarning, stacklevel=2)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
