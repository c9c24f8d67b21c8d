"""Who decodes a sweep: shards of cells in, answers out. The engine here is this process; Ray's is an integration.

A shard is a batch of one cell, and the list of prompts alone says which prompts make it. So answers are the same
whichever worker decodes a shard, and in which order.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dus.denoisers import Denoiser
from dus.evaluation.cells import Cell
from dus.evaluation.tasks import Questions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """Prompts that are decoded together.

    Attributes:
        cell: The cell that the prompts belong to.
        number: The number of the shard in its cell, from 0.
        indices: The places of its prompts in the list of questions.
        prompts: The texts of the prompts.
        chat: Whether they are put into the chat template.
        stop: The strings before the first of which an answer ends.
    """

    cell: Cell
    number: int
    indices: tuple[int, ...]
    prompts: tuple[str, ...]
    chat: bool
    stop: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What came of one prompt.

    Attributes:
        text: The answer.
        nfe: The number of denoiser calls that it took.
        useful: The number of tokens before the end token or stop string.
        written: The number of all tokens that were written.
        distance, pairs, isolated, unmasked: The counts of the row, as in `dus.evaluation.spacing`.
    """

    text: str
    nfe: int
    useful: int
    written: int
    distance: int
    pairs: int
    isolated: int
    unmasked: int


@dataclass(frozen=True)
class Answered:
    """The answers of a shard, in the order of its prompts, and the seconds that decoding took."""

    answers: tuple[Answer, ...]
    seconds: float


class Engine(Protocol):
    """Answers shards."""

    def answers(self, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answered]]:
        """Each shard with its answers, in any order, as they are done."""
        ...


class Worker:
    """A denoiser that answers shards; it is loaded when the first one comes.

    Args:
        load: A function that returns the denoiser.
        threads: The number of processor threads; None leaves torch's setting.
    """

    def __init__(self, load: Callable[[], Denoiser], threads: int | None = None) -> None:
        self.load, self.threads = load, threads
        self.model: Denoiser | None = None

    def answer(self, shard: Shard) -> Answered:
        """Decode a shard. The first one is preceded by a call that is not timed, in which libraries set up."""
        if self.model is None:
            import torch

            if self.threads is not None:
                torch.set_num_threads(self.threads)
            self.model = self.load()
            decode(self.model, shard, max_new_tokens=1)
        return decode(self.model, shard)


class Local:
    """This process, one shard after the other.

    Args:
        load: A function that returns the denoiser; it is called once, when the first shard comes.
        threads: The number of processor threads; None leaves torch's setting.
    """

    def __init__(self, load: Callable[[], Denoiser], threads: int | None = None) -> None:
        self.worker = Worker(load, threads)

    def answers(self, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answered]]:
        """Each shard with its answers, in order."""
        for shard in shards:
            yield shard, self.worker.answer(shard)


def shards(cell: Cell, questions: Questions) -> Iterator[Shard]:
    """The shards of a cell: prompts of similar length together, the shortest first, as they stand among equals."""
    prompts = questions.prompts
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for number in range(cell.shards):
        indices = tuple(order[number * cell.batch_size :][: cell.batch_size])
        yield Shard(
            cell, number, indices, tuple(prompts[index] for index in indices), questions.chat, tuple(questions.stop)
        )


def decode(model: Denoiser, shard: Shard, *, max_new_tokens: int | None = None) -> Answered:
    """The answers of a denoiser. Draws count rows from the shard's place in its cell.

    As in lm-eval, a prompt that is too long for the model's context loses its beginning, with a warning.

    Args:
        model: A denoiser with a tokenizer.
        shard: The prompts, and how to answer them.
        max_new_tokens: The most tokens of an answer; None is what the cell says.

    Raises:
        GenerationError: Something cannot be done as asked, as for `dus.generate`.
    """
    from dus.decoding import generate
    from dus.evaluation.spacing import padded, spacing

    cell = shard.cell
    began = time.perf_counter()
    generation = generate(
        model,
        fitting(model, shard),
        planner=cell.rule,
        max_new_tokens=cell.max_new_tokens if max_new_tokens is None else max_new_tokens,
        block_length=cell.block_length,
        temperature=cell.temperature,
        seed=cell.seed if cell.temperature > 0 else None,
        cache=cell.cache,  # type: ignore[arg-type]
        eos=cell.eos,  # type: ignore[arg-type]
        stop=list(shard.stop),
        first_row=shard.number * cell.batch_size,
        scores=False,
    )
    seconds = time.perf_counter() - began
    counts = spacing(padded(generation.trace.step), cell.block_length)
    columns = (generation.text or [], generation.nfe, generation.useful, generation.written)
    spaced = (found.tolist() for found in (counts.distance, counts.pairs, counts.isolated, counts.unmasked))
    return Answered(tuple(Answer(*row) for row in zip(*columns, *spaced, strict=True)), seconds)


def fitting(model: Denoiser, shard: Shard) -> list[Tensor]:
    """The prompts as token rows, of those that leave no room for the cell's new tokens only the end."""
    from dus.decoding.prompts import to_rows

    rows, new = to_rows(model, list(shard.prompts), chat=shard.chat), shard.cell.max_new_tokens
    context: int | None = getattr(model, "max_length", None)
    if context is None or context <= new:
        return rows
    if long := sum(len(row) > context - new for row in rows):
        warnings.warn(
            f"{long} of {len(rows)} prompts lose their beginnings: a context of {context} tokens holds {new} new ones "
            f"and {context - new} of a prompt",
            stacklevel=2,
        )
    return [row[new - context :] for row in rows]
