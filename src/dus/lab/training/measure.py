"""What is measured and written down while training: the held-out bound, results, and how well a network answers."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from dus.evaluation.cells import grid
from dus.evaluation.engine import Local, shards
from dus.evaluation.intervals import TOKEN_BY_TOKEN, Accuracy
from dus.evaluation.tasks import LEVELS, TASKS, Task, held_out
from dus.lab.training import journal
from dus.lab.training.data import Encoder, Row, drawn_equation, encode_problems, masks
from dus.lab.training.model import as_checkpoint, autocast, masked_logits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from dus.denoisers import Denoiser
    from dus.lab.training.trainer import DenoiserTrainer

BLOCK_LENGTH = 32


@dataclass(frozen=True)
class Verdict:
    """The scores of a task's held-out problems, in the order of the problems and in the task's unit."""

    task: Task
    level: int
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean score: the share of problems solved, or nats a token."""
        return fmean(self.scores)

    def __str__(self) -> str:
        if self.task.unit == "right":
            return str(Accuracy(sum(score == 1 for score in self.scores), len(self.scores)))
        half = 1.96 * pstdev(self.scores) / math.sqrt(max(1, len(self.scores) - 1))
        return f"{self.mean:.3f} ± {half:.3f} nats a token ({len(self.scores)} passages)"


def judge(model: Denoiser, task: Task, level: int, size: int) -> Verdict:
    """Answers the first `size` (at most 2,000) held-out problems of a level, as a sweep does, and scores them.

    Greedily; but passages, whose score is their likelihood, are drawn at temperature 1. The programs that a model
    writes for a task that `runs_code` run in the sandbox.
    """
    questions = held_out(task, level, size)
    [cell] = grid(
        [questions],
        planners=[TOKEN_BY_TOKEN],
        block_lengths=[BLOCK_LENGTH],
    )
    scores = {
        index: questions.score(index, answer.text)
        for shard, answered in Local(lambda: model).answers(shards(cell, questions))
        for index, answer in zip(shard.indices, answered.answers, strict=True)
    }
    return Verdict(task, level, tuple(score for _, score in sorted(scores.items())))


def judge_all(model: Denoiser, tasks: Sequence[str], levels: Sequence[int], size: int) -> Iterator[Verdict]:
    """The verdicts on `size` problems of each of some levels of some tasks."""
    for task in tasks:
        for level in levels:
            yield judge(model, TASKS[task], level, size)


class Probe:
    """Fixed held-out measurements of a network, cheap enough to be made every few minutes.

    - `bound_TASK_k`: the bound on -log p(answer | question) in nats per token of the answer and its end token (LLaDA,
      arXiv 2502.09992, eq. 6) on `size` held-out problems of level k of each of the tasks, always with the same masks.
    - `equations`: how often the result of a bare equation is right.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[str], size: int = 32) -> None:
        self.encoder = Encoder(tokenizer)
        self.rows = {
            f"bound_{name}_{level}": encode_problems(self.encoder, TASKS[name], level, size)
            for name in tasks
            for level in LEVELS
        }
        rng = random.Random("probe")
        drawn = [self.encoder.drill([drawn_equation(rng)]) for _ in range(512)]
        self.drills = [row for row in drawn if sum(row.maskable) == 1]

    def __call__(self, model: PreTrainedModel) -> dict[str, float]:
        """All measurements."""
        import torch

        training = model.training
        model.eval()
        found: dict[str, float] = {}
        with torch.no_grad(), autocast(model.device.type):
            for name, rows in self.rows.items():
                found[name] = self._bound(model, rows)
            found["equations"] = self._results(model, self.drills)
        model.train(training)
        return found

    def _bound(self, model: PreTrainedModel, rows: list[Row]) -> float:
        import torch
        from torch.nn.functional import cross_entropy

        tokens, maskable = self._stack(rows)
        generator = torch.Generator().manual_seed(0)
        masked, weights = masks(maskable, torch.zeros(len(rows), dtype=torch.bool), generator)
        tokens, masked, weights = (x.to(model.device) for x in (tokens, masked, weights))
        losses = cross_entropy(masked_logits(model, tokens, masked).float(), tokens[masked], reduction="none")
        return float((losses * weights[masked]).sum())

    def _results(self, model: PreTrainedModel, rows: list[Row]) -> float:
        """How often the first masked token of a row is right, all its `maskable` ones being masked."""
        tokens, masked = (x.to(model.device) for x in self._stack(rows))
        guesses = tokens.clone()
        guesses[masked] = masked_logits(model, tokens, masked).argmax(-1)
        first = masked.int().argmax(1, keepdim=True)
        return float((guesses.gather(1, first) == tokens.gather(1, first)).float().mean())

    def _stack(self, rows: list[Row]) -> tuple[Tensor, Tensor]:
        """Rows of one length; the end tokens that make them so are visible and count for nothing."""
        import torch

        length = max(len(row.tokens) for row in rows)
        padded = [self.encoder.pad(row, length).tokens for row in rows]
        maskable = [row.maskable + [False] * (length - len(row.maskable)) for row in rows]
        return torch.tensor(padded), torch.tensor(maskable)


class Probing(TrainerCallback):
    """Logs a `Probe` of the averaged weights every `every` steps and at the last one."""

    def __init__(self, run: DenoiserTrainer, probe: Probe, every: int) -> None:
        self.run, self.probe, self.every = run, probe, every

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measures when it is time."""
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            with self.run.average.swapped_into(self.run.model) as network:
                self.run.note(self.probe(network))


class Trying(TrainerCallback):
    """Logs every `every` steps how the averaged weights answer `size` held-out problems of each task's first levels."""

    def __init__(
        self, run: DenoiserTrainer, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[str], every: int, size: int
    ) -> None:
        self.run, self.tokenizer, self.tasks, self.every, self.size = run, tokenizer, tasks, every, size

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Decodes when it is time."""
        if state.global_step % self.every == 0:
            with self.run.average.swapped_into(self.run.model) as network:
                model = as_checkpoint(network, self.tokenizer)
            verdicts = judge_all(model, self.tasks, LEVELS[:2], self.size)
            self.run.note({f"{verdict.task.name}_{verdict.level}": verdict.mean for verdict in verdicts})


class Journal(TrainerCallback):
    """Appends every log entry to the `journal` of a folder, with the step and the time (seconds since 1970)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Writes one line."""
        kept = {name: value for name, value in logs.items() if name not in ("epoch", "total_flos")}
        journal.append(self.folder, {"step": state.global_step, "time": round(time.time(), 1), **kept})
