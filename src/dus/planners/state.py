"""What a planner sees: the state of a block, and what the denoiser says of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dus.planners.fields import PlannerError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BlockState:
    """What a planner may know of the past: `N` rows, each at a block of `B` positions.

    Attributes:
        masked: Bool `[N, B]`, still to be unmasked. False beyond a row's `length`.
        given: Bool `[N, B]`, in the input from the start; never revised.
        initially_masked: Bool `[N, B]`, masked when the block began.
        unmasked_at: Int64 `[N, B]`, the step of this block that unmasked a position; -1 where none did.
        confidence_then: Float `[N, B]`, the confidence a position had at that step; 0 where none did.
        step: Int64 `[N]`, the row's step in this block, from 0. A level without masks is passed over, so this
            is a place in the schedule, not a count of calls.
        length: Int64 `[N]`, the row's positions in this block, at most B (the last block may be shorter).
        row: Int64 `[N]`, the row's index in the user's list: randomness counts from it. 0, 1, … where none is given.
        start: Int64 `[N]`, the block's first position, counted from the row's first masked one. 0 where none is given.
        changed: Int64 `[N]`, how many tokens the row's last step edited. 0 where none is given.
        extra: Int64 `[N]`, the calls of this block that were made when no mask was left. 0 where none is given.
        divergence_then: Float `[N, B]`, the divergence at the row's step before; infinite where there was none, and
            under planners that do not compare. Infinite where none is given.
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
    changed: Tensor = None  # type: ignore[assignment]
    extra: Tensor = None  # type: ignore[assignment]
    divergence_then: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.row is None:
            object.__setattr__(self, "row", self.step.new_ones(len(self.step)).cumsum(0) - 1)
        for name in ("start", "changed", "extra"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.step.new_zeros(len(self.step)))
        if self.divergence_then is None:
            nothing = self.confidence_then.new_full(self.confidence_then.shape, math.inf)
            object.__setattr__(self, "divergence_then", nothing)

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
            masked: Bool `[N, B]`.
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

    def wide(self, width: int) -> BlockState:
        """The same state in blocks of at least a width; what is added is beyond every row's length."""
        from torch.nn.functional import pad

        more = width - self.masked.shape[1]
        if more <= 0:
            return self
        wide = {name: pad(value, (0, more)) for name, value in vars(self).items() if value.dim() == 2}
        return replace(self, **wide | {"unmasked_at": pad(self.unmasked_at, (0, more), value=-1)})

    def tall(self, count: int) -> BlockState:
        """The same state and so many rows more, of zeros, to be `put`."""
        from torch.nn.functional import pad

        if count == 0:
            return self
        tall = {name: pad(value, (0, 0) * (value.dim() - 1) + (0, count)) for name, value in vars(self).items()}
        return replace(self, **tall)

    def put(self, at: Tensor, other: BlockState) -> BlockState:
        """The state with the rows `at`, int64, replaced by those of another state."""
        return replace(
            self, **{name: value.index_copy(0, at, getattr(other, name)) for name, value in vars(self).items()}
        )

    def at(self, step: Tensor) -> BlockState:
        """The same state at other steps, int64 `[N]`."""
        return replace(self, step=step)

    def after(
        self,
        selected: Tensor,
        revised: Tensor | None = None,
        confidence: Tensor | None = None,
        edited: Tensor | None = None,
        divergence: Tensor | None = None,
    ) -> BlockState:
        """The state once `selected` is unmasked, `revised` masked again and `edited` overwritten, all bool `[N, B]`.

        Args:
            selected: What the step unmasks.
            revised: What it takes back; None is nothing.
            confidence: Float `[N, B]`, kept for the positions that were unmasked or edited; None keeps none.
            edited: Unmasked positions whose token it replaces; they stay unmasked since when they were. None is none.
            divergence: Float `[N, B]`, kept until the next step; None keeps what was there.
        """
        standing = ~selected
        masked, unmasked_at = self.masked & standing, self.unmasked_at.where(standing, self.step[:, None])
        written = selected if edited is None else selected | edited
        then = self.confidence_then if confidence is None else confidence.where(written, self.confidence_then)
        if revised is not None:
            masked, unmasked_at = masked | revised, unmasked_at.masked_fill(revised, -1)
            then = then.masked_fill(revised, 0)
        return replace(
            self,
            masked=masked,
            unmasked_at=unmasked_at,
            confidence_then=then,
            step=self.step + 1,
            changed=self.changed if edited is None else edited.sum(dim=1),
            extra=self.extra + ~self.masked.any(dim=1),
            divergence_then=self.divergence_then if divergence is None else divergence,
        )


class Prediction:
    """What the denoiser says of a block, `[N, B]`; each field is computed when a planner first reads it.

    Only wanted positions hold a meaning; the others hold zero.

    Attributes:
        confidence: Probability of the token chosen for the position.
        entropy: The entropy of the position's distribution, in bits.
        margin: Probability of the likeliest token less that of the second likeliest.
        token_confidence: Probability now of the token that stands at an unmasked position.
        token: The token chosen for the position.
        divergence: KL(p ‖ q) in nats, p the position's distribution now and q that at the row's step before; infinite
            where there was none. For a planner that `compares`.
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

    @property
    def token(self) -> Tensor:
        """Int64 `[N, B]`: the token chosen for the position."""
        return self._read("token")

    @property
    def divergence(self) -> Tensor:
        """Float `[N, B]`: KL(now ‖ the row's step before) in nats; infinite where there was no prediction then."""
        return self._read("divergence")
