"""The planner contract: which masked positions of a block are unmasked at a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from dus.planners.fields import check_types, require

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dus.planners.state import BlockState, Prediction

Self = TypeVar("Self", bound="Planner")


class Planner(ABC):
    """The rule that says which masked positions of a block are unmasked at a step.

    A planner is a frozen dataclass whose fields are its whole configuration, batched and without memory. It sees
    no logit, and works on whatever device its inputs are on. It need not see to it that a block ends: the loop
    unmasks at least one position a step.
    """

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: the positions whose prediction this step needs; every masked one unless overridden.

        A schedule that knows its positions beforehand names just those, and no other logits are computed.
        A planner that revises or edits wants unmasked positions too.
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

    def edit(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: unmasked positions, none of them given, to write the predicted token to. Default: none.

        It sees the same block as `select`, and names no position that `revise` takes back.
        """
        return block.masked & False

    def lingers(self, block: BlockState) -> Tensor:
        """Bool `[N]`: the rows that want one more call although no mask is left. Default: none.

        Only what `edit` names changes in such a call. `block.extra` counts them, and `block.changed` tells what the
        last call edited.
        """
        return block.step < 0

    def num_steps(self, block_length: int) -> int | None:
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

    @property
    def edits(self) -> bool:
        """Whether `edit` may ever overwrite a token."""
        return type(self).edit is not Planner.edit

    @property
    def compares(self) -> bool:
        """Whether it reads `divergence`: only then are a step's distributions kept until the next. Default: no."""
        return False

    def check(self, block_length: int, vocab_size: int | None = None) -> None:
        """Refuse, before a run begins, what would fail in its middle. Default: asks the planners in its fields.

        Args:
            block_length: The block length of the run; its last block may be shorter.
            vocab_size: The vocabulary size of the model; None where it is not known yet.

        Raises:
            PlannerError: Where it can't decode blocks of this length, or tokens of this vocabulary.
        """
        for part in self.parts:
            part.check(block_length, vocab_size)

    @property
    def parts(self) -> tuple[Planner, ...]:
        """The planners in its fields, such as the one that a wrapper is around."""
        return tuple(value for value in vars(self).values() if isinstance(value, Planner))

    @property
    def draws(self) -> bool:
        """Whether what it chooses depends on a seed: by default, whether it or a planner inside has a field `seed`."""
        return "seed" in vars(self) or any(part.draws for part in self.parts)

    def reads(self) -> tuple[Path, ...]:
        """The files on whose content its choice depends. Default: those of the planners in its fields."""
        return tuple(path for part in self.parts for path in part.reads())

    def self_contained(self: Self) -> Self:
        """An equal rule that reads fewer files, where a text can hold what they say. Default: the parts made so."""
        parts = {name: part.self_contained() for name, part in vars(self).items() if isinstance(part, Planner)}
        return replace(self, **parts) if parts else self  # type: ignore[type-var]

    def blockless(self, block_lengths: Sequence[int]) -> bool:
        """Whether a text is decoded the same way at any of these block lengths. Default: no."""
        return False

    @classmethod
    def example(cls: type[Self], block_length: int) -> Self:
        """A planner of this class for blocks of this length; by its defaults unless overridden."""
        return cls()

    def require(self, condition: bool, problem: str) -> None:
        """Raise a `PlannerError` that names the planner and the problem unless the condition holds."""
        if not condition:
            from dus.planners.registry import name_of

            require(False, f"{name_of(type(self))}: {problem}")

    def __post_init__(self) -> None:
        """Check the types of the fields; a planner that checks more, in a method of this name, calls this one first."""
        check_types(self)

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

    def edit(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: what the inner planner overwrites."""
        return self.inner.edit(block, prediction)

    def lingers(self, block: BlockState) -> Tensor:
        """Bool `[N]`: where the inner planner wants one more call."""
        return self.inner.lingers(block)

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the inner planner's."""
        return self.inner.score(block, prediction)

    @property
    def revises(self) -> bool:
        """Whether the inner planner revises."""
        return self.inner.revises

    @property
    def edits(self) -> bool:
        """Whether the inner planner edits."""
        return self.inner.edits

    @property
    def compares(self) -> bool:
        """Whether the inner planner compares."""
        return self.inner.compares
