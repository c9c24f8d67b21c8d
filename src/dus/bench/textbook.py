"""The textbook loop, as published code does it: the reference that a speed-up is over."""

from __future__ import annotations

import torch
from torch import Tensor

from dus.denoisers import NativeLM
from dus.planners import BlockState, Planner, Prediction


@torch.no_grad()
def textbook(model: NativeLM, prompts: list[Tensor], planner: Planner, *, new: int, block_length: int) -> list[Tensor]:
    """Generate greedily, row by row: the whole canvas at each call, logits everywhere, float64 over the vocabulary.

    Args:
        model: A checkpoint.
        prompts: Int64 1-D tensors.
        planner: One that does not revise.
        new: Tokens to generate, a multiple of the block length.
        block_length: Positions of a block.

    Returns:
        For each prompt the generated tokens, int64 `[new]`, on the host.
    """
    return [_row(model, prompt, planner, new, block_length) for prompt in prompts]


def _row(model: NativeLM, prompt: Tensor, planner: Planner, new: int, block_length: int) -> Tensor:
    masks = torch.full((new,), model.mask_token_id)
    canvas = torch.cat([prompt, masks])[None].to(model.device)
    for start in range(len(prompt), len(prompt) + new, block_length):
        here = slice(start, start + block_length)
        block = BlockState.begin(canvas[:, here] == model.mask_token_id)
        while block.masked.any():
            logits = model.logits(canvas, read=torch.arange(canvas.shape[1], device=canvas.device))
            logits[..., model.mask_token_id] = -torch.inf
            probability = logits.double().softmax(dim=-1)
            token = logits.argmax(dim=-1)
            confidence = probability.gather(-1, token[..., None])[..., 0]
            entropy = torch.special.entr(probability).sum(dim=-1) / torch.log(torch.tensor(2.0))
            scores = Prediction(confidence=confidence[:, here].float(), entropy=entropy[:, here].float())
            selected = planner.select(block, scores) & block.masked
            canvas[:, here] = token[:, here].where(selected, canvas[:, here])
            block = block.after(selected, confidence=scores.confidence)
    return canvas[0, len(prompt) :].cpu()
