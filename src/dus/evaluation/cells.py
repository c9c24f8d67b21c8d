"""The grid of a sweep: what each cell decodes, and the name that its results go by."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from dus.evaluation.tasks import Questions
from dus.planners import DUS, Planner, parse


class SweepError(ValueError):
    """A sweep that can't be done as asked, or a folder that does not hold what it should."""


@dataclass(frozen=True)
class Cell:
    """One planner on one list of prompts. A denoiser's answers to equal cells are equal.

    Attributes:
        questions: The name of the questions.
        digest: A digest of their prompts and of how an answer ends.
        problems: The number of prompts.
        planner: The text of the planner; it names a file only where no text can hold what the file says.
        block_length: The number of positions in a block.
        max_new_tokens: The most tokens of an answer.
        cache: The cache mode: how much a step recomputes.
        eos: What an end token does, `stop` or `ignore`.
        temperature: The sampling temperature; 0 takes the likeliest token.
        seed: The seed that tokens are sampled with; it is also added to the planner's own seed.
        batch_size: The number of prompts that are decoded together.
        files: A digest of the files that the planner reads; empty if it reads none.
    """

    questions: str
    digest: str
    problems: int
    planner: str
    block_length: int
    max_new_tokens: int
    cache: str = "none"
    eos: str = "stop"
    temperature: float = 0.0
    seed: int = 0
    batch_size: int = 64
    files: str = ""

    @cached_property
    def name(self) -> str:
        """16 hexadecimal digits, a digest of all fields; a planner that reads no file has none for them."""
        return _digest({name: value for name, value in asdict(self).items() if name != "files" or value})

    @property
    def shards(self) -> int:
        """How many batches the prompts make."""
        return -(-self.problems // self.batch_size)

    @property
    def rule(self) -> Planner:
        """The planner, seeded.

        Raises:
            SweepError: A file that it reads is not what it was when the cell was made.
        """
        planner = parse(self.planner)
        if _content(planner) != self.files:
            raise SweepError(f"a file that {self.planner} reads has changed since this sweep was planned: plan it anew")
        return seeded(planner, self.seed)

    @property
    def calls(self) -> int:
        """About how many denoiser calls an answer of full length takes; a guess for adaptive planners."""
        whole, rest = divmod(self.max_new_tokens, self.block_length)
        rule = self.rule
        lengths = [self.block_length] * whole + [rest] * (rest > 0)
        return sum(rule.num_steps(length) or DUS().num_steps(length) for length in lengths)


def grid(
    asked: Sequence[Questions],
    *,
    planners: Sequence[str],
    block_lengths: Sequence[int],
    caches: Sequence[str] = ("none",),
    eos: Sequence[str] = ("stop",),
    seeds: Sequence[int] = (0,),
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    batch_size: int = 64,
) -> list[Cell]:
    """Every combination once.

    What draws nothing has one seed, 0, with a `GenerationWarning` if nothing draws. What comes out the same at every
    block length has one, the largest.

    Args:
        asked: The questions, no two of the same name.
        planners: The texts of the planners.
        block_lengths, caches, eos, seeds: The values of everything else that varies.
        temperature: The sampling temperature. None is 1 where the score is a likelihood in nats, since the likeliest
            tokens make dull passages that no source would write, and 0 elsewhere.
        max_new_tokens: The most tokens of an answer; None is what the questions say.
        batch_size: The number of prompts that are decoded together.

    Raises:
        PlannerError, GenerationError: Something is unknown or out of range; the message names it.
        SweepError: There are questions without a prompt.
    """
    from dus.decoding import GenerationWarning, Settings

    cells: dict[Cell, None] = {}
    for questions in asked:
        room = questions.max_new_tokens if max_new_tokens is None else max_new_tokens
        count = len(questions.prompts)
        heat = float(questions.unit == "nats" if temperature is None else temperature) + 0.0  # no cell is at -0.0
        if not count:
            raise SweepError(f"{questions.name} has no prompts")
        base = Cell(questions.name, _digest(_asked(questions)), count, "", 1, room, batch_size=batch_size)
        for rule in (parse(text).self_contained() for text in planners):
            for length, cache, end in ((b, c, e) for b in block_lengths for c in caches for e in eos):
                kept = max(block_lengths) if _blockless(rule, block_lengths, cache, end) else length
                for seed in seeds if heat > 0 or rule.draws else (0,):
                    Settings(rule, room, kept, temperature=heat, cache=cache, eos=end, seed=seed)
                    rule.check(kept)
                    cell = replace(base, planner=str(rule), block_length=kept, cache=cache, eos=end)
                    cells[replace(cell, temperature=heat, seed=seed, files=_content(rule))] = None
    if set(seeds) != {0} and not any(cell.seed for cell in cells):
        told = (
            "seeds have no effect: no planner draws, and at temperature 0 no token is drawn; 0 stands for all of them"
        )
        warnings.warn(told, GenerationWarning, stacklevel=2)
    return list(cells)


def seeded(planner: Planner, seed: int) -> Planner:
    """The planner with `seed` added to its own seed, and to that of every planner inside it that draws."""
    if not planner.draws:
        return planner
    values = {name: seeded(part, seed) for name, part in vars(planner).items() if isinstance(part, Planner)}
    own = {"seed": planner.seed + seed} if hasattr(planner, "seed") else {}
    return replace(planner, **values, **own)  # type: ignore[type-var]


def _blockless(rule: Planner, block_lengths: Sequence[int], cache: str, eos: str) -> bool:
    """Whether answers and calls are the same at all of these block lengths.

    Where an end token stops a row, it does so at the end of a block, and a cache keeps what a block leaves.
    """
    return cache == "none" and eos == "ignore" and rule.blockless(block_lengths)


def _content(planner: Planner) -> str:
    """A digest of the files that the planner reads; empty where it reads none."""
    found = [hashlib.sha256(path.read_bytes()).hexdigest() for path in planner.reads()]
    return _digest(found) if found else ""


def _asked(questions: Questions) -> list[object]:
    return [list(questions.prompts), questions.chat, list(questions.stop)]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
