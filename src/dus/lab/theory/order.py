"""Dilated groups in one order and another, and groups of neighbours, on a denoiser's own conditionals."""

from __future__ import annotations

from dataclasses import dataclass

from dus.denoisers import Denoiser
from dus.lab.theory.gap import Mean
from dus.lab.theory.losses import ONE_BY_ONE, losses
from dus.lab.theory.texts import Texts
from dus.planners import DUS


@dataclass(frozen=True)
class Ordered:
    """One planner of the study, in nats a token.

    Attributes:
        planner: its text.
        block_length: B.
        texts: how many are long enough for a block.
        calls: a block.
        lost: above token by token, left to right.
        behind: above DUS's own order, on the same texts; zero for DUS.
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
        model: any denoiser.
        texts: long enough for a block.
        block_length: B.
        seed: of the places of blocks in texts.

    Raises:
        TheoryError: texts too short.
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
