"""The planner contract: which masked positions of a block are unmasked at a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


MAIN = {"main": True}
"""Metadata of the field that a planner is about: its text always shows it."""


class PlannerError(ValueError):
    """A planner's text or field that can't be meant."""


@dataclass(frozen=True)
class BlockState:
    """What a planner may know of the past: `N` rows, each at a block of `B` positions.

    Attributes:
        masked: bool `[N, B]`, still to be unmasked. False beyond a row's `length`.
        given: bool `[N, B]`, in the input from the start; never revised.
        initially_masked: bool `[N, B]`, masked when the block began.
        unmasked_at: int64 `[N, B]`, the step of this block that unmasked a position; -1 where none did.
        confidence_then: float `[N, B]`, the confidence a position had at that step; 0 where none did.
        step: int64 `[N]`, the row's step in this block, from 0. A level without masks is passed over, so this
            is a place in the schedule, not a count of calls.
        length: int64 `[N]`, the row's positions in this block, at most B (the last block may be shorter).
        row: int64 `[N]`, the row's index in the user's list: randomness counts from it. 0, 1, … where none is given.
        start: int64 `[N]`, the block's first position, counted from the row's first masked one. 0 where none is given.
    """

    masked: Tensor
    given: Tensor
    initially_masked: Tensor
    unmasked_at: Tensor
    confidence_then: Tensor
    step: Tensor
    length: Tensor
    row: Tensor = None  # type: ignore[assignment]
    start: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.row is None:
            object.__setattr__(self, "row", self.step.new_ones(len(self.step)).cumsum(0) - 1)
        if self.start is None:
            object.__setattr__(self, "start", self.step.new_zeros(len(self.step)))

    @classmethod
    def begin(
        cls,
        masked: Tensor,
        *,
        length: Tensor | None = None,
        row: Tensor | None = None,
        start: Tensor | None = None,
    ) -> BlockState:
        """The state before a block's first step.

        Args:
            masked: bool `[N, B]`.
            length: int64 `[N]`; B for every row where it is None.
            row: int64 `[N]`; 0, 1, … where it is None.
            start: int64 `[N]`; 0 where it is None.
        """
        import torch

        count, width = masked.shape
        whole = torch.full((count,), width, device=masked.device)
        length = whole if length is None else length
        inside = torch.arange(width, device=masked.device) < length[:, None]
        return cls(
            masked=masked & inside,
            given=~masked & inside,
            initially_masked=masked & inside,
            unmasked_at=torch.full(masked.shape, -1, device=masked.device),
            confidence_then=torch.zeros(masked.shape, device=masked.device),
            step=torch.zeros_like(whole),
            length=length,
            row=row,  # type: ignore[arg-type]
            start=start,  # type: ignore[arg-type]
        )

    def __getitem__(self, rows: Tensor) -> BlockState:
        """The state of some rows: int64 indices or a bool mask over `[N]`."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})

    def at(self, step: Tensor) -> BlockState:
        """The same state at other steps, int64 `[N]`."""
        return replace(self, step=step)

    def after(self, selected: Tensor, revised: Tensor | None = None, confidence: Tensor | None = None) -> BlockState:
        """The state once `selected` is unmasked and `revised` masked again, both bool `[N, B]`.

        Args:
            selected: what the step unmasks.
            revised: what it takes back; None is nothing.
            confidence: float `[N, B]`, kept for the positions that were unmasked; None keeps none.
        """
        standing = ~selected
        masked, unmasked_at = self.masked & standing, self.unmasked_at.where(standing, self.step[:, None])
        then = self.confidence_then if confidence is None else self.confidence_then.where(standing, confidence)
        if revised is not None:
            masked, unmasked_at = masked | revised, unmasked_at.masked_fill(revised, -1)
            then = then.masked_fill(revised, 0)
        return replace(self, masked=masked, unmasked_at=unmasked_at, confidence_then=then, step=self.step + 1)


class Prediction:
    """What the denoiser says of a block, `[N, B]` floats; each is computed when a planner first reads it.

    Only wanted positions hold a meaning; the others hold zero.

    Attributes:
        confidence: probability of the token chosen for the position.
        entropy: of the position's distribution, in bits.
        margin: probability of the likeliest token less that of the second likeliest.
        token_confidence: probability now of the token that stands at an unmasked position.
    """

    def __init__(self, **scores: Tensor | Callable[[], Tensor]) -> None:
        self._scores = scores

    def _read(self, name: str) -> Tensor:
        if name not in self._scores:
            raise PlannerError(f"the planner reads {name}, which this prediction does not hold")
        score = self._scores[name]
        if callable(score):
            score = self._scores[name] = score()
        return score

    @property
    def confidence(self) -> Tensor:
        """Float `[N, B]`: probability of the token chosen for the position."""
        return self._read("confidence")

    @property
    def entropy(self) -> Tensor:
        """Float `[N, B]`: entropy of the position's distribution, in bits."""
        return self._read("entropy")

    @property
    def margin(self) -> Tensor:
        """Float `[N, B]`: the likeliest token's probability less the second likeliest's."""
        return self._read("margin")

    @property
    def token_confidence(self) -> Tensor:
        """Float `[N, B]`: probability now of the token that stands at an unmasked position."""
        return self._read("token_confidence")


class Planner(ABC):
    """The rule that says which masked positions of a block are unmasked at a step.

    A planner is a frozen dataclass whose fields are its whole configuration, batched and without memory. It sees
    no logit and no token, and works on whatever device its inputs are on. It need not see to it that a block
    ends: the loop unmasks at least one position a step.
    """

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the positions whose prediction this step needs; every masked one unless overridden.

        A schedule that knows its positions beforehand names just those, and no other logits are computed.
        A planner that revises wants unmasked positions too.
        """
        return block.masked

    @abstractmethod
    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the positions to unmask now, a subset of wanted and masked."""

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: unmasked positions, none of them given, to mask again. Default: none.

        It sees the same block as `select`: what a step takes back, the same step does not unmask.
        """
        return block.masked & False

    def steps(self, block_length: int) -> int | None:
        """How many denoiser calls a wholly masked block takes; None where that is not known beforehand."""
        return None

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: how good a position is to this planner, higher is better; its confidence by default."""
        return prediction.confidence

    @property
    def scheduled(self) -> bool:
        """Whether `select` takes all that is wanted and masked, and neither it nor `wanted` reads a prediction.

        The loop keeps the masks of such a planner on the host, and never waits for the device within a block.
        """
        return False

    @property
    def revises(self) -> bool:
        """Whether `revise` may ever take a token back."""
        return type(self).revise is not Planner.revise

    def __str__(self) -> str:
        from dus.planners.text import unparse

        return unparse(self)


class Schedule(Planner):
    """A planner that knows its positions beforehand: it unmasks all that it wants."""

    @property
    def scheduled(self) -> bool:
        """True: no prediction is read."""
        return True

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: all that is wanted and masked."""
        return self.wanted(block) & block.masked


class Wrapper(Planner):
    """A planner around a planner, in a field named `inner`: what it does not change is the inner one's."""

    inner: Planner

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: what the inner planner wants."""
        return self.inner.wanted(block)

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: what the inner planner takes back."""
        return self.inner.revise(block, prediction)

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the inner planner's."""
        return self.inner.score(block, prediction)

    @property
    def revises(self) -> bool:
        """Whether the inner planner revises."""
        return self.inner.revises


def require(condition: bool, message: str) -> None:
    """Raise `PlannerError(message)` unless the condition holds."""
    if not condition:
        raise PlannerError(message)
