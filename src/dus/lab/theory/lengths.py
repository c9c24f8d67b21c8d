"""Block lengths chosen for each sequence, beside fixed ones: right answers over denoiser calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dus.decoding import generate
from dus.denoisers import Denoiser
from dus.evaluation.accuracy import Accuracy
from dus.evaluation.questions import held_out
from dus.evaluation.tasks import Task
from dus.lab.theory.chains import TheoryError


@dataclass(frozen=True)
class Tried:
    """One way to set block lengths.

    Attributes:
        block_length: a number, or the text of a rule.
        accuracy: of the answers.
        calls: a problem, on average.
        mean_block: positions of a block, on average.
    """

    block_length: int | str
    accuracy: Accuracy
    calls: float
    mean_block: float


def tried(
    model: Denoiser,
    task: Task,
    level: int,
    block_lengths: Sequence[int | str],
    *,
    planner: str = "dus",
    limit: int = 500,
    batch_size: int = 64,
) -> Iterator[Tried]:
    """Decode the same held-out problems with each block length.

    Args:
        model: the denoiser.
        task: scored by right answers.
        level: of its problems.
        block_lengths: numbers and rules, as `dus.generate` takes them.
        planner: its text.
        limit: how many problems, from the first on.
        batch_size: problems decoded together.

    Raises:
        TheoryError: the task's answers are not right or wrong.
    """
    if task.unit != "right":
        raise TheoryError(f"answers to {task.name} are not right or wrong: take a task whose answers are")
    questions = held_out(task, level, limit)
    for block_length in block_lengths:
        found = generate(
            model,
            questions.prompts,
            planner=planner,
            max_new_tokens=questions.max_new_tokens,
            block_length=block_length,
            batch_size=batch_size,
            chat=True,
            scores=False,
        )
        right = sum(questions.score(i, text) == 1 for i, text in enumerate(found.text or []))
        ends = found.trace.blocks
        yield Tried(
            block_length=block_length,
            accuracy=Accuracy(right, len(questions.problems)),
            calls=sum(found.nfe) / len(found.nfe),
            mean_block=sum(each[-1] for each in ends) / sum(len(each) for each in ends),
        )


def at_calls(found: Sequence[Tried], calls: float) -> float | None:
    """The share of right answers that some ways reach at a number of calls, by the straight line between neighbours.

    None where all of them take more calls, or all fewer.
    """
    points = sorted((each.calls, each.accuracy.share) for each in found)
    for (fewer, low), (more, high) in pairwise(points):
        if fewer <= calls <= more:
            return low if more == fewer else low + (high - low) * (calls - fewer) / (more - fewer)
    return None
