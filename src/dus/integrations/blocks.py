"""Blocks in the hands of another engine: it computes the logits, a planner of ours decides.

The frameworks here call us once a step with the logits of whole blocks. What a planner knows of the past is carried
from call to call in `Blocks`; choosing, checking and progress are the engine's own (`dus.decoding.planning`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dus.decoding.caches import send
from dus.decoding.planning import Decision, Due, decide, named, settle
from dus.decoding.sampling import Choice, divergence
from dus.planners import BlockState, Planner, PlannerError, Prediction


@dataclass(frozen=True, eq=False)
class Blocks:
    """`N` rows, each at a block of `B` positions, under one planner.

    Attributes:
        planner: The rule.
        state: What it knows, on the host where the planner is scheduled, else where the masks are.
        due: What is wanted next, on the host.
        past: Float `[N, B, V]`, the log-probabilities of the step before, NaN where there were none; only of a planner
            that compares, and None before its first step.
    """

    planner: Planner
    state: BlockState
    due: Due
    past: Tensor | None = None

    @classmethod
    def begin(cls, planner: Planner, masked: Tensor, start: Tensor | None = None) -> Blocks:
        """Rows before a block's first step; one transfer from the device.

        Args:
            planner: The rule.
            masked: Bool `[N, B]`, where a token is to be put; all else is given.
            start: Int64 `[N]`, each block's first position in its text, which random draws depend on; None is 0.
        """
        start = torch.zeros_like(masked[:, 0], dtype=torch.long) if start is None else start
        if planner.scheduled and masked.device.type != "cpu":
            both = torch.cat([masked.long(), start[:, None]], dim=1).cpu()
            masked, start = both[:, :-1].bool(), both[:, -1]
        state = BlockState.begin(masked, start=start, row=torch.zeros_like(start))
        return cls(planner, *settle(planner, state))

    @property
    def going(self) -> list[bool]:
        """For each row whether it wants another call; asks nothing of the device."""
        return self.due.wanted.any(dim=1).tolist()

    def __getitem__(self, row: int) -> Blocks:
        """One of the rows."""
        at = slice(row, row + 1)
        past = None if self.past is None else self.past[at]
        return Blocks(self.planner, _rows(self.state, at), Due(self.due.wanted[at], self.due.masked[at], ()), past)

    @staticmethod
    def joined(parts: Sequence[Blocks]) -> Blocks:
        """Rows of the same planner and block length together, in order."""
        first = parts[0]
        fields = {name: torch.cat([getattr(part.state, name) for part in parts]) for name in vars(first.state)}
        wanted, masked = (torch.cat([getattr(part.due, name) for part in parts]) for name in ("wanted", "masked"))
        known = [part.past for part in parts if part.past is not None]
        past = None
        if known:
            nothing = torch.full_like(known[0][:1], torch.nan)
            past = torch.cat([nothing if part.past is None else part.past for part in parts])
        return Blocks(first.planner, replace(first.state, **fields), Due(wanted, masked, ()), past)

    def step(self, choice: Choice, standing: Tensor, *, last: bool = False) -> tuple[Decision, Blocks]:
        """What the planner does, and the rows after it; at most one transfer from the device, none if it is scheduled.

        Args:
            choice: The tokens chosen for all `N * B` positions, row after row, and their scores.
            standing: Int64 `[N, B]`, the tokens there before the step; at masks any token of the vocabulary.
            last: Whether no further call can follow: all that is masked is unmasked.

        Raises:
            PlannerError: The planner returns something else than its contract says.
        """
        device = choice.token.device
        if self.planner.scheduled:
            selected = self.due.masked if last else self.due.wanted & self.due.masked
            decision = Decision(send(selected, device), None, None, send(selected & False, device))
            return decision, Blocks(self.planner, *settle(self.planner, self.state.after(selected)))
        wanted = send(self.due.wanted, device)
        prediction = self.prediction(choice, standing, wanted)
        decision = decide(self.planner, self.state, wanted, prediction)
        if last:
            decision = replace(decision, selected=self.state.masked, revised=None)
        if decision.edited is not None:
            decision = replace(decision, edited=decision.edited & (prediction.token != standing))
        compares = self.planner.compares
        state, due = settle(
            self.planner,
            self.state.after(
                decision.selected,
                decision.revised,
                prediction.confidence,
                decision.edited,
                prediction.divergence if compares else None,
            ),
            decision.astray,
        )
        if bool(due.flags[0].any()):
            raise PlannerError(f"{named(self.planner)}: select returns positions that are not masked or not wanted")
        past = None
        if compares:
            past = choice.log_probability.view(*wanted.shape, -1).masked_fill(~wanted[..., None], torch.nan)
        return decision, Blocks(self.planner, state, Due(due.wanted, due.masked, ()), past)

    def prediction(self, choice: Choice, standing: Tensor, wanted: Tensor) -> Prediction:
        """What the planner may read, from what `step` takes: zero where nothing was wanted, bool `[N, B]`."""

        def spread(values: Tensor) -> Tensor:
            return values.view(wanted.shape).masked_fill(~wanted, 0)

        return Prediction(
            token=lambda: spread(choice.token),
            confidence=lambda: spread(choice.confidence),
            entropy=lambda: spread(choice.entropy),
            margin=lambda: spread(choice.margin),
            token_confidence=lambda: spread(choice.probability_of(standing.reshape(-1))),
            **({"divergence": lambda: spread(self._divergence(choice))} if self.planner.compares else {}),
        )

    def _divergence(self, choice: Choice) -> Tensor:
        """Float `[N * B]`: KL in nats from the distributions of the step before; infinite where there were none."""
        now = choice.log_probability
        if self.past is None:
            return torch.full_like(choice.peak, torch.inf)
        return divergence(now, self.past.view_as(now))


def _rows(state: BlockState, at: slice) -> BlockState:
    """Some rows of a state, without a copy."""
    return replace(state, **{name: value[at] for name, value in vars(state).items()})
