"""What a planner would do with a block, drawn beforehand."""

from __future__ import annotations

import torch

from dus.decoding.generate import generate
from dus.denoisers import from_callable
from dus.planners import Planner


def positions_by_step(planner: Planner, block_length: int) -> list[list[int]]:
    """For each step the positions, from 0, that a scheduled planner writes in a masked block.

    The loop itself is asked, on a model that knows nothing.
    """
    model = from_callable(lambda canvas: torch.zeros(*canvas.shape, 2), mask_token_id=1, vocab_size=2)
    generation = generate(
        model,
        [torch.tensor([0])],
        planner=planner,
        max_new_tokens=block_length,
        block_length=block_length,
        scores=False,
    )
    step = generation.trace.step[0]
    return [(step == at).nonzero()[:, 0].tolist() for at in range(generation.nfe[0])]
