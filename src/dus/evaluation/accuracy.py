"""How many problems of a task were solved, with the interval that their number allows."""

from __future__ import annotations

from dataclasses import dataclass

from dus.evaluation.intervals import wilson

TOKEN_BY_TOKEN = "confidence(per_step=1)"


@dataclass(frozen=True)
class Accuracy:
    """`right` of `total` problems solved."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The share of problems solved, 0 to 1."""
        return self.right / self.total

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's score interval of the share; `z` = 1.96 gives 95%."""
        found = wilson(self.right, self.total, z)
        return found.low, found.high

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.share:.1%} ({low:.1%} to {high:.1%}; {self.right} of {self.total})"
