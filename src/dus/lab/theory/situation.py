"""One step of a planner on a source: what it sees, and what it would unmask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dus.decoding.planning import decide, settle
from dus.decoding.sampling import Sampler
from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError
from dus.planners import BlockState, Planner, PlannerError, Prediction, parse


def rule_of(planner: str | Planner) -> Planner:
    """The planner of a text.

    Raises:
        TheoryError: a planner that takes tokens back or overwrites them.
    """
    rule = parse(planner) if isinstance(planner, str) else planner
    if rule.revises or rule.edits:
        raise TheoryError(f"{rule} changes tokens that it wrote; only planners that never do have a divergence here")
    return rule


@dataclass(frozen=True)
class Situation:
    """Rows of one block on their way.

    Attributes:
        planner: the rule.
        canvas: int64 `[N, B]`, V where masked.
        block: what the planner sees, at the level that is due.
        wanted: bool `[N, B]`.
        logits: float32 `[N, B, V + 1]`, as the decoding loop would have them.
        probability: float64 `[N, B, V]`.
        likeliest: whether the planner reads the confidence of the likeliest token, not of the one drawn.
    """

    planner: Planner
    canvas: Tensor
    block: BlockState
    wanted: Tensor
    logits: Tensor
    probability: Tensor
    likeliest: bool

    @classmethod
    def of(
        cls, planner: Planner, denoiser: Denoiser, canvas: Tensor, step: Tensor, likeliest: bool = False
    ) -> Situation:
        """The situation of canvases `[N, B]` at steps int64 `[N]`; random planners see row 0.

        The denoiser's mask is its last id, and its logits are log-probabilities.
        """
        masked = canvas == denoiser.mask_token_id
        start = BlockState.begin(torch.ones_like(masked), row=torch.zeros(len(canvas), dtype=torch.long))
        block, due = settle(planner, start.after(~masked).at(step))
        logits = denoiser.logits(canvas, read=torch.arange(canvas.shape[1]))
        return cls(planner, canvas, block, due.wanted, logits.float(), logits[..., :-1].exp(), likeliest)

    def __getitem__(self, rows: Tensor) -> Situation:
        """Some rows, int64 indices, repeated ones included."""
        return Situation(
            self.planner,
            self.canvas[rows],
            self.block[rows],
            self.wanted[rows],
            self.logits[rows],
            self.probability[rows],
            self.likeliest,
        )

    @property
    def open(self) -> Tensor:
        """Bool `[N, B]`: the positions that this step may unmask."""
        return self.wanted & self.block.masked

    def blind_selection(self) -> Tensor | None:
        """Bool `[N, B]`: what is unmasked whatever tokens are drawn; None where the planner asks which they are."""
        if self.likeliest:
            return self.selection(self.probability.argmax(dim=-1))
        try:
            selected = self.planner.select(self.block, self._prediction(None)) & self.open
        except PlannerError:
            return None
        return selected if bool(selected.any(dim=1).all()) else None

    def selection(self, token: Tensor) -> Tensor:
        """Bool `[N, B]`: what is unmasked where these tokens, int64 `[N, B]`, were drawn."""
        return decide(self.planner, self.block, self.wanted, self._prediction(token)).selected

    def _prediction(self, token: Tensor | None) -> Prediction:
        """What the planner may read; without tokens it may not read their confidence."""
        vocab = self.probability.shape[-1]
        sampler = Sampler(temperature=0, top_p=None, top_k=None, suppress=[vocab], defer=[], device="cpu")
        at = self.block.step
        choice = sampler(self.logits, seed=at, row=at, position=at, step=at)  # greedy: nothing is drawn
        scores = {
            "entropy": lambda: choice.entropy.masked_fill(~self.wanted, 0),
            "margin": lambda: choice.margin.masked_fill(~self.wanted, 0),
        }
        if token is not None:
            scores["confidence"] = lambda: choice.probability_of(token).masked_fill(~self.wanted, 0)
        return Prediction(**scores)
