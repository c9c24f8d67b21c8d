"""Texts that a denoiser's own conditionals are measured on, and blocks of them, masked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dus.decoding.canvas import check_fit
from dus.decoding.prompts import to_rows
from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError

if TYPE_CHECKING:
    from dus.evaluation.tasks import Task
    from dus.lab.theory.sources import Source

QUESTIONS, ANSWERS = ("question", "prompt"), ("solution", "answer")


@dataclass(frozen=True, eq=False)
class Texts:
    """Token rows, and where in each a masked block may begin.

    Attributes:
        rows: Int64 1-D tensors on the host; what stands behind `ends` is filling (end tokens).
        firsts: For each row the first position that may be masked: what stands before it is its prompt.
        ends: For each row the position behind the last at which a block may begin.
        name: What reports call them.
    """

    rows: list[Tensor]
    firsts: list[int]
    ends: list[int]
    name: str

    def __len__(self) -> int:
        return len(self.rows)

    def split(self) -> tuple[Texts, Texts]:
        """Every other text, and the rest."""
        return self._of(range(0, len(self), 2)), self._of(range(1, len(self), 2))

    def _of(self, rows: Iterable[int]) -> Texts:
        kept = list(rows)
        return replace(
            self,
            rows=[self.rows[row] for row in kept],
            firsts=[self.firsts[row] for row in kept],
            ends=[self.ends[row] for row in kept],
        )

    def blocks(
        self, model: Denoiser, length: int, *, context: int | None = None, most_context: int = 0, seed: int = 0
    ) -> Blocks:
        """A block of each text that is long enough, at a random place, masked with all that follows it.

        Args:
            model: The denoiser that these will be blocks for.
            length: B.
            context: How many tokens before the block are kept; None keeps all.
            most_context: A block begins only where at least so many tokens stand before it, so that blocks with
                other contexts, this long at most, are the same blocks.
            seed: The seed of the places.

        Raises:
            TheoryError: Fewer than two texts are long enough; the message says how long they are.
        """
        generator, known, behind, truth = torch.Generator().manual_seed(seed), [], [], []
        for row, first, end in zip(self.rows, self.firsts, self.ends, strict=True):
            draw = float(torch.rand((), generator=generator))
            low, high = max(first, most_context), min(end, len(row) - length + 1)
            if low < high:
                start = low + int(draw * (high - low))
                truth.append(row[start : start + length])
                known.append(row[0 if context is None else max(0, start - context) : start])
                behind.append(len(row) - start)
                check_fit(len(known[-1]), behind[-1], getattr(model, "max_length", None))
        if len(truth) < 2:
            raise self._too_short(len(truth), length, most_context)
        return Blocks.laid_out(model, known, behind, torch.stack(truth))

    def _too_short(self, found: int, length: int, most_context: int) -> TheoryError:
        """Says how many texts are long enough, and how long the longest is."""
        room = [len(row) - max(first, most_context) for row, first in zip(self.rows, self.firsts, strict=True)]
        return TheoryError(
            f"{found} of the {len(self)} texts have {length} tokens to mask behind {most_context} known ones; at least "
            f"two are needed, and the longest leaves {max(0, *room)}: take longer texts or shorter blocks"
        )


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of B tokens, one of each of M texts, and the denoiser that is asked about them.

    Attributes:
        model: The denoiser.
        tokens: Int64 `[M, L]`: the texts, each block and all behind it masked, the blocks in the same columns.
        attention_mask: Bool `[M, L]`, False at padding; None where nothing is padded.
        first: The column in which the blocks begin.
        truth: Int64 `[M, B]`, the tokens that the texts hold there.
    """

    model: Denoiser
    tokens: Tensor
    attention_mask: Tensor | None
    first: int
    truth: Tensor

    @classmethod
    def laid_out(cls, model: Denoiser, known: list[Tensor], behind: list[int], truth: Tensor) -> Blocks:
        """The blocks on the denoiser's device, padded to the left of what is known and to the right of the masks.

        Args:
            model: The denoiser.
            known: What stands before each block, int64 1-D tensors.
            behind: How many masks follow it, those of the block among them.
            truth: Int64 `[M, B]`.
        """
        device = getattr(model, "device", "cpu")
        first, masks = max(map(len, known)), torch.full((len(known), max(behind)), model.mask_token_id)
        prefix = pad_sequence(known, batch_first=True, padding_side="left")
        column = torch.arange(first + masks.shape[1])
        starts, stops = (
            torch.tensor([first - len(row) for row in known])[:, None],
            first + torch.tensor(behind)[:, None],
        )
        real = (column >= starts) & (column < stops)
        mask = None if bool(real.all()) else real.to(device)
        return cls(model, torch.cat([prefix, masks], dim=1).to(device), mask, first, truth.to(device))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def length(self) -> int:
        """B."""
        return self.truth.shape[1]

    def masked(self) -> Tensor:
        """Int64 `[M, B]`: the blocks, wholly masked."""
        return torch.full_like(self.truth, self.model.mask_token_id)

    def revealing(self, places: Iterable[int]) -> Tensor:
        """Int64 `[M, B]`: the blocks with the texts' own tokens at some places, and masks elsewhere."""
        kept = list(places)
        block = self.masked()
        block[:, kept] = self.truth[:, kept]
        return block

    def log_probabilities(self, block: Tensor, read: Tensor) -> Tensor:
        """Float `[M, R, V]`: natural log-probabilities of the tokens at some offsets, the mask token excluded.

        Args:
            block: Int64 `[M, B]`, what stands in the blocks now.
            read: Int64 `[R]` or `[M, R]`, offsets in the block.

        Raises:
            TheoryError: The denoiser gives NaN.
        """
        tokens = self.tokens.clone()
        tokens[:, self.first : self.first + self.length] = block
        place = (read + self.first).to(tokens.device)
        with torch.no_grad():
            logits = self.model.logits(tokens, read=place, attention_mask=self.attention_mask)
        logits = logits.to(logits.dtype if logits.dtype == torch.float64 else torch.float32, copy=True)
        if self.model.mask_token_id < logits.shape[-1]:
            logits[..., self.model.mask_token_id] = -torch.inf
        found = logits.log_softmax(dim=-1)
        if bool(found.isnan().any()):
            raise TheoryError("the denoiser gave NaN: its weights or its dtype are broken")
        return found


def entropies(log_probabilities: Tensor) -> Tensor:
    """Float `[…]`: the entropy in nats of each distribution of `[…, V]`, given as logarithms."""
    return torch.special.entr(log_probabilities.exp()).sum(dim=-1)


def from_source(source: Source, count: int, length: int, *, known: int = 0, seed: int = 0) -> Texts:
    """Stretches of a source's stationary stream.

    Args:
        source: The source of the tokens.
        count: Texts.
        length: Tokens of each.
        known: How many of its first tokens are never masked.
        seed: The seed of the draws.
    """
    rows = list(torch.from_numpy(source.sample(count, length, seed)))
    return Texts(rows, [known] * count, [length] * count, source.name)


def from_task(model: Denoiser, task: Task, level: int, count: int) -> Texts:
    """Fresh problems of a task: their questions are the prompts, their solutions may be masked.

    None is a held-out one, so that a schedule made from these texts is judged on problems that it was not made from. A
    solution is followed by end tokens, as far as the task gives room for answers.

    Raises:
        TheoryError: The model has no tokenizer.
        TaskError: No such level.
    """
    problems = islice(task.problems(level, seed=0), count)
    pairs = [(problem.question, problem.solution) for problem in problems]
    return _from_pairs(model, pairs, f"{task.name}, level {level}", room=task.answer_tokens[level])


def from_file(model: Denoiser, path: Path, count: int, length: int) -> Texts:
    """The texts in a file.

    A `.jsonl` file holds a text a line: in `text`, or in `question` (or `prompt`), which is never masked, and `answer`
    (or `solution`). Any other file is one text, of which `count` stretches of `length` tokens are taken, evenly
    spread.

    Raises:
        TheoryError: The model has no tokenizer, or the file holds no such texts.
    """
    tokenizer = _tokenizer(model)
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise TheoryError(f"{path} is no UTF-8 text") from None
    if path.suffix == ".jsonl":
        return _from_pairs(model, list(islice(_pairs(path, content), count)), path.name)
    ids = torch.tensor(tokenizer(content, add_special_tokens=False)["input_ids"])
    if len(ids) < length:
        raise TheoryError(f"{path} has {len(ids)} tokens: {length} are needed for a single stretch")
    starts = torch.linspace(0, len(ids) - length, count).long().unique().tolist()
    rows = [ids[start : start + length] for start in starts]
    return Texts(rows, [0] * len(rows), [length] * len(rows), path.name)


def _pairs(path: Path, content: str) -> Iterator[tuple[str, str]]:
    """Prompt and answer of each line; the prompt of a bare text is empty."""
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record: Any = json.loads(line)
        except ValueError:
            raise TheoryError(f"{path}, line {number}: no valid JSON") from None
        fields = record if isinstance(record, dict) else {}
        question = next((fields[name] for name in QUESTIONS if name in fields), "")
        answer = next((fields[name] for name in (*ANSWERS, "text") if name in fields), None)
        if not isinstance(question, str) or not isinstance(answer, str):
            raise TheoryError(
                f"{path}, line {number}: an object with a text, or with a question and an answer, is needed"
            )
        yield question, answer


def _from_pairs(model: Denoiser, pairs: list[tuple[str, str]], name: str, room: int = 0) -> Texts:
    """Prompts, in the model's chat template where it has one, each with its answer and end tokens up to `room`."""
    tokenizer = _tokenizer(model)
    end = list(getattr(model, "eos_token_ids", ()))[:1]
    rows, firsts, ends = [], [], []
    for question, answer in pairs:
        prompt = to_rows(model, [question])[0].tolist() if question else []
        written = tokenizer(answer, add_special_tokens=False)["input_ids"] + end
        rows.append(torch.tensor(prompt + written + end * max(0, room - len(written))))
        firsts.append(len(prompt))
        ends.append(len(prompt) + len(written))
    if not rows:
        raise TheoryError(f"{name} holds no text")
    return Texts(rows, firsts, ends, name)


def _tokenizer(model: Denoiser) -> Any:
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise TheoryError("the model has no tokenizer, so it can read no texts")
    return tokenizer
