"""What a planner loses on texts: the tokens' negative log-probabilities where the texts themselves are revealed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dus.decoding.planning import decide, settle
from dus.denoisers import Denoiser
from dus.lab.theory.adaptive import rule_of
from dus.lab.theory.gap import Mean
from dus.lab.theory.texts import Blocks, Texts, entropies
from dus.planners import DUS, BlockState, Planner, Prediction

ONE_BY_ONE = "left-to-right"


@dataclass(frozen=True, eq=False)
class Losses:
    """One planner on the blocks of M texts.

    Attributes:
        nats: Float64 `[M]`, `Σ_i -log p(x_i | c, x_U(i))` of the block, U(i) being what is revealed when i is drawn.
        calls: Float64 `[M]`, the denoiser calls of the block.
        length: B.
    """

    nats: NDArray[np.float64]
    calls: NDArray[np.float64]
    length: int

    def above(self, other: Losses) -> Mean:
        """How much more than another planner it loses on the same blocks, in nats a token."""
        return Mean.of(self.each_above(other))

    def each_above(self, other: Losses) -> NDArray[np.float64]:
        """Float64 `[M]`: the same for each text."""
        return (self.nats - other.nats) / self.length


def losses(blocks: Blocks, planner: str | Planner) -> Losses:
    """How unlikely a planner is to sample the texts: the cross-entropy of the law that it samples at temperature 1.

    For a planner that reads no draw there is one way to sample a text, and the probability of the text is the product
    of the conditionals on that way. The difference of two planners, averaged over texts of the source, is the
    difference of the divergences of what they sample from the source, whatever the denoiser gets wrong.

    Args:
        blocks: The blocks of the texts.
        planner: Any that takes nothing back, or its text; where it reads confidence, that is the likeliest token's,
            not the drawn one's. A random one sees texts as rows.

    Raises:
        TheoryError: A planner that takes tokens back.
    """
    rule, device = rule_of(planner), blocks.truth.device
    nats, calls = torch.zeros(2, len(blocks), dtype=torch.float64)
    state, block = BlockState.begin(torch.ones_like(blocks.truth, dtype=torch.bool)), blocks.masked()
    offsets = torch.arange(blocks.length, device=device)
    while bool(state.masked.any()):
        state, due = settle(rule, state)
        wanted = due.wanted.to(device)
        law = blocks.log_probabilities(block, offsets)
        selected = wanted & due.masked.to(device)
        if not rule.scheduled:
            selected = decide(rule, state, wanted, _prediction(law, wanted)).selected
        chance = law.gather(2, blocks.truth[..., None])[..., 0]
        nats -= chance.masked_fill(~selected, 0).cpu().double().sum(dim=1)  # some devices have no float64
        calls += due.masked.any(dim=1).cpu()
        block = blocks.truth.where(selected, block)
        state = state.after(selected)
    return Losses(nats.numpy(), calls.numpy(), blocks.length)


def _prediction(law: Tensor, wanted: Tensor) -> Prediction:
    """What planners may read of log-probabilities `[M, B, V]`, at the positions that they want, in float32."""

    def top() -> Tensor:
        return law.float().topk(2, dim=-1).values.exp().masked_fill(~wanted[..., None], 0)

    return Prediction(
        confidence=lambda: top()[..., 0],
        margin=lambda: top()[..., 0] - top()[..., 1],
        entropy=lambda: entropies(law).float().div(np.log(2)).masked_fill(~wanted, 0),
    )


@dataclass(frozen=True)
class Ordered:
    """One planner of the study, in nats a token.

    Attributes:
        planner: The text of the planner.
        block_length: B.
        texts: How many are long enough for a block.
        calls: A block.
        lost: What it loses above token by token, left to right.
        behind: What it loses above DUS's own order, on the same texts; zero for DUS.
    """

    planner: str
    block_length: int
    texts: int
    calls: float
    lost: Mean
    behind: Mean


def planners_of_orders(block_length: int) -> list[str]:
    """DUS's levels and residue classes in every order, groups of neighbours and random ones: all in as many calls."""
    steps = DUS().num_steps(block_length)
    return [
        "dus",
        "dus(order=entropy)",
        "dus(order=entropy, by=mean)",
        "dus(order=random)",
        "dus(order=fine-to-coarse)",
        "dus(groups=residues)",
        "dus(order=entropy, groups=residues)",
        "dus(order=random, groups=residues)",
        "left-to-right(like=dus)",
        f"left-to-right(steps={steps})",
        "random(like=dus)",
        f"random(steps={steps})",
    ]


def orders(model: Denoiser, texts: Texts, block_length: int, seed: int = 0) -> list[Ordered]:
    """What each planner of `planners_of_orders` loses on texts; see `losses`.

    Args:
        model: Any denoiser.
        texts: Long enough for a block.
        block_length: B.
        seed: The seed of the places of blocks in texts.

    Raises:
        TheoryError: Texts too short.
    """
    blocks = texts.blocks(model, block_length, seed=seed)
    one_by_one = losses(blocks, ONE_BY_ONE)
    found = {planner: losses(blocks, planner) for planner in planners_of_orders(block_length)}
    return [
        Ordered(
            planner=planner,
            block_length=block_length,
            texts=len(blocks),
            calls=float(loss.calls.mean()),
            lost=loss.above(one_by_one),
            behind=loss.above(found["dus"]),
        )
        for planner, loss in found.items()
    ]
