"""The training batches: a pure function of (seed, step), so that a resumed run continues exactly where it was.

A batch is a set of rows of one length without padding: problems of the tasks, whose prompt is visible and whose answer
is followed by end tokens to the end of the row (as in LLaDA's supervised fine-tuning: end tokens count in the loss),
and rows of bare equations. Rows of similar length share a batch, so that the end tokens stay few.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from torch.utils.data import IterableDataset

from dus.evaluation.tasks import LEVELS, TASKS, Task, held_out

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from transformers import PreTrainedTokenizerFast

LIMIT = 99
SIGNS = "+++++----**/"


def drawn_equation(rng: random.Random) -> tuple[int, str, int, int]:
    """A random true equation as (a, sign, b, result), every number from 0 to 99, quotients exact."""
    sign = rng.choice(SIGNS)
    top = 12 if rng.random() < 0.5 else LIMIT
    if sign in "+-":
        first = rng.randint(0, top)
        second = rng.randint(0, min(top, LIMIT - first))
        return (first, "+", second, first + second) if sign == "+" else (first + second, "-", first, second)
    first = rng.randint(1, min(top, 49))
    second = rng.randint(1, min(LIMIT // first, top))
    return (first, "*", second, first * second) if sign == "*" else (first * second, "/", first, second)


def spelled_equation(equation: tuple[int, str, int, int]) -> str:
    """The equation as it is written in a row of equations, with the full stop and the space after it."""
    a, sign, b, result = equation
    return f"{a} {sign} {b} = {result}. "


POOL = 8  # batches whose problems are drawn together and sorted by length
GRAIN = 16  # row lengths are multiples of it


@dataclass(frozen=True)
class Curriculum:
    """What is trained on when. Shares move linearly from the first value to the second over `ramp` steps (0: at once).

    `equations` is the share of rows that are bare equations; of the other tokens `tasks` gives each task's relative
    share (a task that is not listed is not trained on) and, for the end of the ramp, those of its levels; all tasks
    begin with the shares `levels`.
    `extra` lists (probability, most tokens) of end tokens added to a batch's rows beyond its longest problem.
    """

    ramp: int = 1500
    equations: tuple[float, float] = (0.6, 0.1)
    levels: tuple[float, float, float] = (0.8, 0.2, 0.0)
    tasks: tuple[tuple[str, float, tuple[float, float, float]], ...] = (
        ("arithmetic", 0.4, (0.2, 0.4, 0.4)),
        ("code", 0.32, (0.35, 0.4, 0.25)),
        ("instructions", 0.22, (0.85, 0.1, 0.05)),
        ("text", 0.06, (0.4, 0.3, 0.3)),
    )
    extra: tuple[tuple[float, int], ...] = ((0.5, 0), (0.28, 32), (0.14, 64), (0.08, 288))

    @classmethod
    def of(cls, tasks: Sequence[str], shares: Sequence[float] = (), *, begun: bool = False) -> Curriculum:
        """That of some tasks alone, with other shares where they are given.

        It is without the ramp where the run is `begun` with weights that had one.
        """
        own = cls()
        given = dict(zip(tasks, shares, strict=True)) if shares else {}
        kept = tuple((task, given.get(task, share), levels) for task, share, levels in own.tasks if task in tasks)
        return replace(own, ramp=0 if begun else own.ramp, tasks=kept)

    def equation_share(self, step: int) -> float:
        """The share of rows with bare equations at `step`."""
        return self._between(*self.equations, step)

    def token_shares(self, step: int) -> dict[tuple[str, int], float]:
        """The share of each task and level in the tokens that are not equations, at `step`; they sum to 1."""
        total = sum(share for _, share, _ in self.tasks)
        return {
            (task, level): share / total * self._between(first, last, step)
            for task, share, final in self.tasks
            for level, first, last in zip(LEVELS, self.levels, final, strict=True)
        }

    def _between(self, first: float, last: float, step: int) -> float:
        return first + (last - first) * (min(1.0, step / self.ramp) if self.ramp else 1.0)


@dataclass(frozen=True)
class Row:
    """One sequence: its token ids, which of them may be masked, and whether all of those always are."""

    tokens: list[int]
    maskable: list[bool]
    always: bool = False


class Encoder:
    """Problems and equations to rows of token ids."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._fast = tokenizer.backend_tokenizer
        self._user, self._assistant = tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>"])
        self._eos: int = tokenizer.eos_token_id
        self._equation = lru_cache(maxsize=None)(self._encode_equation)

    def problems(self, pairs: list[tuple[str, str]]) -> list[Row]:
        """Rows of (question, solution) pairs as the chat template writes them, up to the first end token."""
        questions = self._fast.encode_batch([question for question, _ in pairs])
        solutions = self._fast.encode_batch([solution for _, solution in pairs])
        rows = []
        for question, solution in zip(questions, solutions, strict=True):
            prompt = [self._user, *question.ids, self._assistant]
            answer = [*solution.ids, self._eos]
            rows.append(Row(prompt + answer, [False] * len(prompt) + [True] * len(answer)))
        return rows

    def pad(self, row: Row, length: int) -> Row:
        """The row followed by end tokens, which may be masked, to `length`."""
        more = length - len(row.tokens)
        return Row(row.tokens + [self._eos] * more, row.maskable + [True] * more)

    def equations(self, rng: random.Random, length: int) -> Row:
        """A row of equations, `length` being a multiple of `GRAIN`.

        In half of the rows everything may be masked, in the others the results are, all of them.
        """
        drawn = self.drill([drawn_equation(rng) for _ in range(length // 5)])
        tokens, results = drawn.tokens, drawn.maskable
        only_results = rng.random() < 0.5
        return Row(tokens[:length], results[:length] if only_results else [True] * length, always=only_results)

    def drill(self, drawn: list[tuple[int, str, int, int]]) -> Row:
        """A row of these equations, at least five tokens each, whose results may be masked."""
        encoded = [self._equation(equation) for equation in drawn]
        return Row(
            [i for ids, _ in encoded for i in ids], [flag for _, flags in encoded for flag in flags], always=True
        )

    def _encode_equation(self, equation: tuple[int, str, int, int]) -> tuple[list[int], list[bool]]:
        # What follows an equation begins with a digit, and a space before a digit belongs to what stands before it.
        ids = self._fast.encode(spelled_equation(equation) + "0").ids[:-1]
        result = self._fast.encode(str(equation[3])).ids
        start = len(ids) - 1 - len(result)
        return ids, [start <= i < len(ids) - 1 for i in range(len(ids))]


class Batches(IterableDataset):
    """Training batches from `start` on, without end.

    Each is a dict of `tokens` int64 [N, L], `masked` bool [N, L] (the positions that the model sees as masks and is
    asked for) and `weights` float32 [N, L], the loss weights: see `masks`. N x L is at most `tokens_per_batch`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        seed: int,
        start: int = 0,
        tokens_per_batch: int = 8192,
        curriculum: Curriculum | None = None,
    ) -> None:
        self.encoder = Encoder(tokenizer)
        self.seed = seed
        self.start = start
        self.tokens_per_batch = tokens_per_batch
        self.curriculum = curriculum or Curriculum()
        self._pool_of = lru_cache(maxsize=1)(self._pool)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        step = self.start
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of `step`, the same for the same seed whatever was asked for before."""
        import torch

        rng = random.Random(f"batch/{self.seed}/{step}")
        rows = list(self._pool_of(step // POOL)[step % POOL])
        length = self._length(rng, max((len(row.tokens) for row in rows), default=GRAIN))
        total = max(1, self.tokens_per_batch // length)
        drills = round(total * self.curriculum.equation_share(step))
        rng.shuffle(rows)
        rows = [self.encoder.pad(row, length) for row in rows[: total - drills]]
        rows += [self.encoder.equations(rng, length) for _ in range(total - len(rows))]
        rng.shuffle(rows)
        tokens = torch.tensor([row.tokens for row in rows])
        maskable = torch.tensor([row.maskable for row in rows])
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        masked, weights = masks(maskable, torch.tensor([row.always for row in rows]), generator)
        return {"tokens": tokens, "masked": masked, "weights": weights}

    def _length(self, rng: random.Random, longest: int) -> int:
        probabilities, mosts = zip(*self.curriculum.extra, strict=True)
        wanted = longest + rng.randint(0, rng.choices(mosts, probabilities)[0])
        return -(-wanted // GRAIN) * GRAIN

    def _pool(self, index: int) -> list[list[Row]]:
        """The problem rows of `POOL` neighbouring steps, cut by length into as many batches of about equal size."""
        rng = random.Random(f"pool/{self.seed}/{index}")
        step = index * POOL
        budget = POOL * self.tokens_per_batch * (1 - self.curriculum.equation_share(step))
        rows: list[Row] = []
        for (task, level), share in self.curriculum.token_shares(step).items():
            rows += self._drawn(TASKS[task], level, rng.getrandbits(62), share * budget)
        rows.sort(key=lambda row: len(row.tokens))
        share = sum(len(row.tokens) for row in rows) / POOL
        batches: list[list[Row]] = [[] for _ in range(POOL)]
        passed = 0
        for row in rows:
            batches[min(POOL - 1, int(passed / share))].append(row)
            passed += len(row.tokens)
        rng.shuffle(batches)
        return batches

    def _drawn(self, task: Task, level: int, seed: int, tokens: float) -> list[Row]:
        """Rows of problems, as many as make up `tokens` tokens."""
        stream = task.problems(level, seed)
        rows: list[Row] = []
        while tokens > 0:
            new = self.encoder.problems([(problem.question, problem.solution) for problem in islice(stream, 8)])
            rows += new
            tokens -= sum(len(row.tokens) for row in new)
        return rows


def masks(maskable: Tensor, always: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Which positions of `maskable` (bool [N, L]) are masked, and the weights (float32 [N, L]) of their losses.

    Rows named by `always` (bool [N]: results of equations, which do not depend on each other) have all of them masked.
    Else, of the n positions of a row that may be masked, l are: l is uniform on 1..n, the l positions are drawn without
    replacement, and each loss has weight 1 / (l N). The weighted sum is the bound of LLaDA (arXiv 2502.09992, eq. 6,
    -E[n/l sum log p], here per token: divided by n), which equals the 1/t weighting of its eq. 3 in expectation and
    has less variance, because the weight goes by the number of masks that were in fact drawn. The rates l/n are
    stratified over the batch: row i of a random order has its rate between i/N and (i+1)/N."""
    import torch

    rows = maskable.shape[0]
    counts = maskable.sum(1)
    order = torch.randperm(rows, generator=generator)
    rates = (order + torch.rand(rows, generator=generator)) / rows
    wanted = (rates * counts).floor().long() + 1
    wanted = torch.where(always, counts, wanted.minimum(counts))
    noise = torch.rand(maskable.shape, generator=generator).masked_fill(~maskable, 2.0)
    ranks = noise.argsort(1).argsort(1)
    masked = ranks < wanted[:, None]
    weights = masked / (wanted[:, None] * rows).float()
    return masked, weights


def encode_problems(encoder: Encoder, task: Task, level: int, size: int) -> list[Row]:
    """The rows of the first `size` held-out problems of a level."""
    problems = held_out(task, level, size).problems
    return encoder.problems([(problem.question, problem.solution) for problem in problems])
