"""Batches from an archive of `dus.lab.language.corpus` that lies on the device as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from transformers import AutoTokenizer


class Corpus:
    """The archive's arrays on a device: `batch` draws rows of `length` tokens, half of them pairs, half crops."""

    def __init__(self, folder: Path, device: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        with np.load(folder / "corpus.npz", allow_pickle=False) as archive:
            arrays = {name: torch.from_numpy(archive[name].astype(np.int32)).to(device) for name in archive.files}
        self.arrays = arrays
        self.device = device
        self.length = arrays["pairs"].shape[1]
        if len(arrays["text"]) <= self.length or len(arrays["held_text"]) < self.length:
            raise ValueError(f"there are fewer than {self.length} tokens of text to train on or to measure with")

    def batch(self, rows: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Tokens int64 [rows, length] and which of them may be masked, bool.

        Of every other pair it is the answer and the end tokens behind it, of the others the question too, and of crops
        all.
        """
        pairs, prompts, text = (self.arrays[name] for name in ("pairs", "prompts", "text"))
        half = rows // 2
        chosen = torch.randint(len(pairs), (half,), generator=generator, device=self.device)
        starts = torch.randint(len(text) - self.length, (rows - half,), generator=generator, device=self.device)
        columns = torch.arange(self.length, device=self.device)
        crops = text[starts[:, None] + columns]
        begins = torch.where(torch.arange(half, device=self.device) % 2 == 0, prompts[chosen], 1)
        maskable = torch.cat([columns >= begins[:, None], torch.ones_like(crops, dtype=torch.bool)])
        return torch.cat([pairs[chosen], crops]).long(), maskable

    def held_out(self, rows: int) -> dict[str, tuple[Tensor, Tensor]]:
        """The first `rows` held-out pairs and as many crops of prose, and what may be masked.

        Of pairs it is once the answer and one end token, and once the question.
        """
        pairs, prompts, text = (self.arrays[name] for name in ("held_pairs", "held_prompts", "held_text"))
        pairs, prompts = pairs[:rows].long(), prompts[:rows]
        columns = torch.arange(self.length, device=self.device)
        ends = (pairs != self.tokenizer.eos_token_id).sum(1, keepdim=True)
        answers = (columns >= prompts[:, None]) & (columns <= ends)
        questions = (columns > 0) & (columns < prompts[:, None] - 1)
        count = min(rows, len(text) // self.length)
        crops = text[: count * self.length].view(count, self.length).long()
        return {
            "answers": (pairs, answers),
            "questions": (pairs, questions),
            "prose": (crops, torch.ones_like(crops, dtype=torch.bool)),
        }


def draw_masks(maskable: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masked positions (bool [N, L]) of a batch and the weights of their losses (float32), as `training.data.masks`.

    Of the n positions of a row that may be masked, l are, l uniform on 1..n and stratified over the batch, and each
    loss has weight 1 / (l N): LLaDA's bound (arXiv 2502.09992, eq. 6) per token.
    """
    rows, device = len(maskable), maskable.device
    counts = maskable.sum(1)
    order = torch.randperm(rows, generator=generator, device=device)
    rates = (order + torch.rand(rows, generator=generator, device=device)) / rows
    wanted = ((rates * counts).floor().long() + 1).minimum(counts)
    noise = torch.rand(maskable.shape, generator=generator, device=device).masked_fill(~maskable, 2.0)
    masked = noise.argsort(1).argsort(1) < wanted[:, None]
    return masked, masked / (wanted[:, None] * rows).float()
