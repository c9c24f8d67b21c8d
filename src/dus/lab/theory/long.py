"""What a denoiser says and answers as more before a block is known, and with block lengths chosen for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from dus.decoding import generate
from dus.denoisers import Denoiser
from dus.evaluation.intervals import Accuracy
from dus.evaluation.tasks import Task, held_out
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.gap import Gap, Mean, gaps
from dus.lab.theory.losses import ONE_BY_ONE, losses
from dus.lab.theory.texts import Texts
from dus.planners import DUS


@dataclass(frozen=True, eq=False)
class Context:
    """The same blocks behind so many known tokens; nats.

    Attributes:
        tokens: Known right before each block.
        pairs: What two tokens of a block lose, over their spacing.
        cost: `-log p` of a token of the texts, token by token from left to right.
        lost: For each planner float64 `[M]`: what each text loses above that, a token; the same texts for all contexts.
    """

    tokens: int
    pairs: list[Gap]
    cost: Mean
    lost: dict[str, NDArray[np.float64]]

    @property
    def texts(self) -> int:
        """How many texts are long enough for a block, M."""
        return len(next(iter(self.lost.values())))


def contexts(
    model: Denoiser,
    texts: Texts,
    known: Sequence[int],
    *,
    block_length: int = 16,
    spacings: Sequence[int] = (1, 2, 4, 8),
    draws: int = 2,
    seed: int = 0,
) -> Iterator[Context]:
    """Measure dependence over distance, and what DUS loses, as the context grows.

    The blocks are the same for every context: those before which the longest one fits. Beside DUS stand groups of
    neighbours in as many calls.

    Args:
        model: Any denoiser.
        texts: Long enough for the longest context and a block.
        known: The numbers of tokens right before a block that are kept; those before them are cut off.
        block_length: B.
        spacings, draws, seed: The same as for `gaps`.

    Raises:
        TheoryError: Texts too short.
    """
    most = max(known)
    planners = ("dus", f"left-to-right(steps={DUS().num_steps(block_length)})")
    for tokens in known:
        blocks = texts.blocks(model, block_length, context=tokens, most_context=most, seed=seed)
        one_by_one = losses(blocks, ONE_BY_ONE)
        yield Context(
            tokens=tokens,
            pairs=gaps(model, texts, spacings, draws=draws, seed=seed, context=tokens, most_context=most),
            cost=Mean.of(one_by_one.nats / block_length),
            lost={planner: losses(blocks, planner).each_above(one_by_one) for planner in planners},
        )


def preceded(texts: Texts, least: int) -> Texts:
    """Texts with others of them in front, whole ones, until at least so many tokens stand before what may be masked."""
    rows, firsts, ends = [], [], []
    for number, row in enumerate(texts.rows):
        parts, first = [row], texts.firsts[number]
        for other in range(number + 1, number + len(texts)):
            if first >= least:
                break
            before = texts.rows[other % len(texts)][: texts.ends[other % len(texts)]]
            parts, first = [before, *parts], first + len(before)
        rows.append(torch.cat(parts))
        firsts.append(first)
        ends.append(texts.ends[number] + first - texts.firsts[number])
    return Texts(rows, firsts, ends, texts.name)


@dataclass(frozen=True)
class Answered:
    """One planner behind so many solved problems.

    Attributes:
        turns: Problems with their solutions before the question, as earlier turns of the chat.
        planner: The text of the planner.
        accuracy: How many answers are right.
        calls: A problem, on average.
    """

    turns: int
    planner: str
    accuracy: Accuracy
    calls: float


def answers(
    model: Denoiser,
    task: Task,
    level: int,
    turns: Sequence[int],
    planners: Sequence[str],
    *,
    limit: int,
    block_length: int = 16,
    batch_size: int = 64,
) -> Iterator[Answered]:
    """How many problems planners solve as prompts grow by other problems, solved.

    Args:
        model: A denoiser with a chat template.
        task: Scored by right answers.
        level: The level of all problems, those before the question too.
        turns: How many stand before the question.
        planners: Texts.
        limit: Problems asked, the first of the held-out ones.
        block_length: B.
        batch_size: Problems decoded together.

    Raises:
        TheoryError: The task's answers are not right or wrong.
        GenerationError: Prompts longer than the model's context, or a model without a chat template.
    """
    if task.unit != "right":
        raise TheoryError(f"answers to {task.name} are not right or wrong: take a task whose answers are")
    questions = held_out(task, level, limit)
    solved = list(islice(task.problems(level, seed=0), max(turns)))
    for count in turns:
        history = [
            message
            for problem in solved[:count]
            for message in (
                {"role": "user", "content": problem.question},
                {"role": "assistant", "content": problem.solution},
            )
        ]
        prompts = [[*history, {"role": "user", "content": question}] for question in questions.prompts]
        for planner in planners:
            found = generate(
                model,
                prompts,
                planner=planner,
                max_new_tokens=questions.max_new_tokens,
                block_length=block_length,
                batch_size=batch_size,
                scores=False,
            )
            right = sum(questions.score(i, text) == 1 for i, text in enumerate(found.text or []))
            yield Answered(count, planner, Accuracy(right, len(questions.problems)), sum(found.nfe) / len(found.nfe))


@dataclass(frozen=True)
class Tried:
    """One way to set block lengths.

    Attributes:
        block_length: A number, or the text of a rule.
        accuracy: How many answers are right.
        calls: A problem, on average.
        mean_block: Positions of a block, on average.
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
        model: The denoiser.
        task: Scored by right answers.
        level: The level of its problems.
        block_lengths: Numbers and rules, as `dus.generate` takes them.
        planner: The text of the planner.
        limit: How many problems, from the first on.
        batch_size: Problems decoded together.

    Raises:
        TheoryError: The task's answers are not right or wrong.
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
