"""Answers as lm-eval wants them: texts, as they are done, as many at a time as fit in memory; what they took."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dus.decoding import Settings
from dus.decoding.run import Run
from dus.denoisers import Denoiser
from dus.evaluation.harness.arguments import Rows, logger
from dus.evaluation.harness.likelihood import Pair

Attempt: TypeAlias = Callable[[int], object]
"""Something done with a number of rows, to see whether they fit in memory."""


def accelerator(device: Any) -> Any | None:
    """Accelerate's view of this process where `accelerate launch` or torchrun started several; None where it is alone.

    Without a GPU, or where `device` is the CPU, the processes share that. At the end they wait for the slowest of
    them, for as long as it takes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    cpu = str(device) == "cpu" or torch.accelerator.current_accelerator(check_available=True) is None
    return Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(weeks=52))])


def present(device: Any) -> Any:
    """The device, or `auto` for a GPU of a machine without: lm-eval's command line names cuda:0 where nobody did."""
    import torch

    if str(device).startswith("cuda") and not torch.cuda.is_available():
        logger.info("there is no device %s here, and the model is put elsewhere", device)
        return "auto"
    return device


def fitting(asked: Rows, most: int, attempt: Attempt) -> int:
    """The rows of a batch: as asked, or for `auto` the first of `most`, its half, … whose attempt fits in memory."""
    if asked != "auto":
        return asked
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    while True:
        try:
            attempt(most)
            logger.info("batches of %d rows fit in memory", most)
            return most
        except RuntimeError as error:
            if most == 1 or not should_reduce_batch_size(error):
                raise
        clear_device_cache()
        most //= 2


@dataclass(frozen=True)
class Answer:
    """An answer's text, the denoiser calls that it took, and its tokens before the end token or stop string."""

    text: str
    nfe: int
    tokens: int


def answers(
    model: Denoiser, rows: list[Tensor], settings: Settings, batch_size: int, numbers: Sequence[int]
) -> Iterator[tuple[int, Answer]]:
    """Each row's index and answer, batch by batch; a draw depends on the row's number and not on its batch.

    Args:
        model: A denoiser with a tokenizer.
        rows: The prompts, int64 1-D tensors.
        settings: The settings that all rows are decoded by.
        batch_size: The number of rows that are decoded together.
        numbers: The numbers of the rows, no two of them equal.
    """
    run = Run(model, rows, settings, batch_size, numbers=numbers)
    tokenizer: Any = model.tokenizer
    ends = torch.tensor(getattr(model, "eos_token_ids", ()), dtype=torch.long)
    for _ in chain(run.steps(), [None]):  # the last batch's rows are there after its last step
        if not run.decoded:
            continue
        indices = sorted(run.places[row.row] for row in run.decoded)
        done = run.result()
        run.decoded.clear()
        texts = (_ended(tokenizer, *answer, ends) for answer in zip(done.text or [], done.tokens, strict=True))
        yield from zip(indices, map(Answer, texts, done.nfe, done.useful), strict=True)


def _ended(tokenizer: Any, text: str, tokens: Tensor, ends: Tensor) -> str:
    """An answer's text, as far as the first end token where it goes on behind that."""
    found = torch.isin(tokens, ends).nonzero()
    return tokenizer.decode(tokens[: int(found[0])], skip_special_tokens=True) if len(found) else text


def attempt(model: Denoiser, rows: list[Tensor], settings: Settings, batch_size: int) -> None:
    """The first two steps of a batch of the longest row, to see whether it fits in memory, its cache included."""
    longest = max(rows, key=len)
    for _ in islice(Run(model, [longest] * batch_size, settings).steps(), 2):
        pass


def written(
    model: Denoiser, pairs: list[Pair], settings: Settings, rows_of: Callable[[int, Attempt], int]
) -> list[bool]:
    """Whether each pair's continuation is what is written behind its context, at temperature 0, in as many tokens.

    Args:
        model: The denoiser.
        pairs: The contexts and continuations.
        settings: The settings that contexts are continued by.
        rows_of: A function that returns the rows of a batch, given how many there are and a function that tries a
            number.
    """
    found: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for length in sorted({len(continuation) for _, continuation in pairs}):
        contexts = list(dict.fromkeys(tuple(before) for before, tokens in pairs if len(tokens) == length))
        rows = [torch.tensor(context, dtype=torch.long) for context in contexts]
        greedy = replace(settings, max_new_tokens=length, temperature=0.0, eos="ignore", stop=None)
        run = Run(model, rows, greedy, rows_of(len(rows), partial(attempt, model, rows, greedy))).watched(False)
        for context, tokens in zip(contexts, run.result().tokens, strict=True):
            found[context, length] = tokens.tolist()
    return [found[tuple(context), len(continuation)] == continuation for context, continuation in pairs]


@dataclass
class Calls:
    """What a task's answers took, one entry an answer.

    Attributes:
        nfe: The number of denoiser calls.
        tokens: The number of tokens before the end token or stop string.
    """

    nfe: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @property
    def mean_nfe(self) -> float:
        """Denoiser calls an answer, the mean."""
        return sum(self.nfe) / len(self.nfe)

    @property
    def tpf(self) -> float:
        """Tokens over denoiser calls, of all answers together."""
        return sum(self.tokens) / max(sum(self.nfe), 1)


@dataclass
class Record:
    """What was answered and scored so far.

    Attributes:
        calls: What the answers to each task took, by its name.
        errors: The standard errors of log-likelihoods, in nats.
    """

    calls: dict[str, Calls] = field(default_factory=dict)
    errors: list[float] = field(default_factory=list)

    @classmethod
    def together(cls, records: Iterable[Record]) -> Record:
        """What several processes answered and scored."""
        whole = cls()
        for record in records:
            whole.errors += record.errors
            for task, calls in record.calls.items():
                whole.answered(task, calls.nfe, calls.tokens)
        return whole

    def answered(self, task: str, nfe: list[int], tokens: list[int]) -> None:
        """Count answers to a task."""
        calls = self.calls.setdefault(task, Calls())
        calls.nfe += nfe
        calls.tokens += tokens

    @property
    def known_errors(self) -> list[float]:
        """Those of the errors that are numbers."""
        return [error for error in self.errors if math.isfinite(error)]

    def log(self) -> None:
        """Write it to the log."""
        for task, calls in self.calls.items():
            answers = "%s: %d answers, %.1f denoiser calls each, %.2f tokens a call"
            logger.info(answers, task, len(calls.nfe), calls.mean_nfe, calls.tpf)
        if errors := self.known_errors:
            scores = "%d log-likelihoods, standard error %.3g nats on average, %.3g at most"
            logger.info(scores, len(errors), sum(errors) / len(errors), max(errors))

    def summary(self) -> dict[str, Any]:
        """The same for a file of results."""
        errors = self.known_errors
        calls = {task: {"nfe": calls.mean_nfe, "tpf": calls.tpf} for task, calls in self.calls.items()}
        return {"calls": calls, "log_likelihood_error": sum(errors) / len(errors) if errors else None}
