"""Text that people wrote, as tokens: one archive that a training run reads, and batches from it on the device.

`python -m dus.lab.language.corpus PROSE PAIRS HELD_OUT_PAIRS OUT` takes a folder of text files, one a source, whose
documents are separated by form feeds, and JSON lines of `question` and `answer` to train on and to measure with. It
writes `tokenizer/` and `corpus.npz`, and takes along what the folder says of its sources (`sources.json`).
`dus.lab.language.prose` makes such a folder.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor
from transformers import AutoTokenizer

from dus.lab.training import tokenizer
from dus.writing import files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 4096
PIECE = 20_000  # characters: longer documents are cut, so that a held-out part exists of every source
HELD_OUT_EVERY = 50
SOURCES = "sources.json"
_CALCULATOR = re.compile(r"<<[^>]*>>")


def documents(folder: Path) -> tuple[list[str], list[str]]:
    """The documents of a folder's `*.txt`, to train on and held out: every 50th piece of a source is held out."""
    train: list[str] = []
    held: list[str] = []
    for file in sorted(folder.glob("*.txt")):
        number = 0
        for document in file.read_text(encoding="utf-8").split("\f"):
            for start in range(0, len(document), PIECE):
                number += 1
                (held if number % HELD_OUT_EVERY == 0 else train).append(document[start : start + PIECE])
    return train, held


def pairs(file: Path) -> list[tuple[str, str]]:
    """The (question, answer) pairs of JSON lines, without the calculator's marks that GSM8K has in its answers."""
    read = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return [(entry["question"].strip(), _CALCULATOR.sub("", entry["answer"]).strip()) for entry in read]


def encode_documents(words: PreTrainedTokenizerFast, texts: Sequence[str]) -> np.ndarray:
    """All documents in one row of uint16, each followed by the end token."""
    encoded = words.backend_tokenizer.encode_batch(list(texts))
    ids = [np.array([*one.ids, words.eos_token_id], dtype=np.uint16) for one in encoded]
    return np.concatenate(ids) if ids else np.zeros(0, dtype=np.uint16)


def encode_pairs(
    words: PreTrainedTokenizerFast, several: Iterable[tuple[str, str]], length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs as the chat template writes them: rows uint16 [N, length] that end tokens fill, and the prompts' lengths.

    Pairs whose answer with one end token does not fit into `length` are left out.
    """
    user, assistant = words.convert_tokens_to_ids([tokenizer.USER, tokenizer.ASSISTANT])
    encode = words.backend_tokenizer.encode
    rows, prompts = [], []
    for question, answer in several:
        prompt = [user, *encode(question).ids, assistant]
        row = prompt + encode(answer).ids
        if len(row) < length:
            rows.append(row + [words.eos_token_id] * (length - len(row)))
            prompts.append(len(prompt))
    return np.array(rows, dtype=np.uint16).reshape(-1, length), np.array(prompts, dtype=np.int32)


def write(prose: Path, train_pairs: Path, held_pairs: Path, out: Path, *, length: int = 256) -> dict[str, int]:
    """Learns the tokenizer, writes `tokenizer/` and `corpus.npz` into `out`, and says how much of what there is.

    `out` gets a copy of `prose/sources.json`, where there is one.
    """
    train, held = documents(prose)
    answered, asked = pairs(train_pairs), pairs(held_pairs)
    words = tokenizer.learn([*train, *(f"{question}\n{answer}" for question, answer in answered)], VOCAB_SIZE)
    out.mkdir(parents=True, exist_ok=True)
    words.save_pretrained(out / "tokenizer")
    rows, prompts = encode_pairs(words, answered, length)
    held_rows, held_prompts = encode_pairs(words, asked, length)
    arrays: dict[str, Any] = {
        "text": encode_documents(words, train),
        "held_text": encode_documents(words, held),
        "pairs": rows,
        "prompts": prompts,
        "held_pairs": held_rows,
        "held_prompts": held_prompts,
    }
    np.savez_compressed(out / "corpus.npz", **arrays)
    if (prose / SOURCES).exists():
        files.write(out / SOURCES, (prose / SOURCES).read_text(encoding="utf-8"))
    sizes = {name: len(array) for name, array in arrays.items()}
    return {**sizes, "pairs_left_out": len(answered) - len(rows), "vocabulary": len(words)}


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


if __name__ == "__main__":
    print(json.dumps(write(*map(Path, sys.argv[1:5]))))  # noqa: T201
