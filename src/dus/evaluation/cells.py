"""The grid of a sweep: what each cell decodes, and the name that its results go by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from dus.evaluation.questions import Questions
from dus.planners import DUS, LeftToRight, Levels, Planner, Wrapper, parse
from dus.planners.text import text_fields


class SweepError(ValueError):
    """A sweep that can't be done as asked, or a folder that does not hold what it should."""


@dataclass(frozen=True)
class Cell:
    """One planner on one list of prompts. A denoiser's answers to equal cells are equal.

    Attributes:
        questions: the name of the questions.
        digest: of their prompts and of how an answer ends.
        problems: how many prompts.
        planner: its text, which names no file.
        block_length: positions of a block.
        max_new_tokens: room for an answer.
        cache: how much a step recomputes.
        eos: what an end token does, `stop` or `ignore`.
        temperature: of the draws of tokens; 0 takes the likeliest.
        seed: of the draws of tokens, and added to the planner's own seed.
        batch_size: prompts decoded together.
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

    @cached_property
    def name(self) -> str:
        """16 hexadecimal digits, a digest of all fields."""
        return _digest(asdict(self))

    @property
    def shards(self) -> int:
        """How many batches the prompts make."""
        return -(-self.problems // self.batch_size)

    @property
    def rule(self) -> Planner:
        """The planner, seeded."""
        return seeded(parse(self.planner), self.seed)

    @property
    def calls(self) -> int:
        """About how many denoiser calls an answer of full length takes; a guess for adaptive planners."""
        whole, rest = divmod(self.max_new_tokens, self.block_length)
        rule = self.rule
        lengths = [self.block_length] * whole + [rest] * (rest > 0)
        return sum(rule.steps(length) or DUS().steps(length) for length in lengths)


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

    What draws nothing has one seed, 0. What comes out the same at every block length has one, the largest.

    Args:
        asked: the questions, their names distinct.
        planners: their texts.
        block_lengths, caches, eos, seeds: what else varies.
        temperature: of the draws of tokens; None is 1 where the score is a likelihood in nats, since the likeliest
            tokens make dull passages that no source would write, and 0 elsewhere.
        max_new_tokens: in place of the room that the questions give an answer.
        batch_size: prompts decoded together.

    Raises:
        PlannerError, GenerationError: naming what is unknown or out of range.
        SweepError: questions without a prompt.
    """
    from dus.decoding import Settings

    cells: dict[Cell, None] = {}
    for questions in asked:
        room = questions.max_new_tokens if max_new_tokens is None else max_new_tokens
        count = len(questions.prompts)
        heat = float(questions.unit == "nats" if temperature is None else temperature) + 0.0  # no cell is at -0.0
        if not count:
            raise SweepError(f"{questions.name} has no prompts")
        base = Cell(questions.name, _digest(_asked(questions)), count, "", 1, room, batch_size=batch_size)
        for rule in (parse(str(self_contained(parse(text)))) for text in planners):
            for length, cache, end in ((b, c, e) for b in block_lengths for c in caches for e in eos):
                kept = max(block_lengths) if _blockless(rule, block_lengths, cache, end) else length
                for seed in seeds if heat > 0 or draws(rule) else (0,):
                    Settings(rule, room, kept, temperature=heat, cache=cache, eos=end, seed=seed)
                    rule.steps(kept)  # a schedule that was made for other blocks says so now
                    cell = replace(base, planner=str(rule), block_length=kept, cache=cache, eos=end)
                    cells[replace(cell, temperature=heat, seed=seed)] = None
    return list(cells)


def draws(planner: Planner) -> bool:
    """Whether the planner's choice depends on its seed, or on that of a planner inside it."""
    if isinstance(planner, DUS):
        return planner.order == "random"
    return hasattr(planner, "seed") or any(draws(part) for part in vars(planner).values() if isinstance(part, Planner))


def seeded(planner: Planner, seed: int) -> Planner:
    """The planner with `seed` added to its own seed, and to that of every planner inside it."""
    if not draws(planner):
        return planner
    values = {label: getattr(planner, field.name) for label, field in text_fields(type(planner)).items()}
    if isinstance(planner, Wrapper):
        values["inner"] = planner.inner
    values = {label: seeded(value, seed) if isinstance(value, Planner) else value for label, value in values.items()}
    if "seed" in values:
        values["seed"] += seed
    return type(planner)(**values)


def self_contained(planner: Planner) -> Planner:
    """The planner with the levels themselves in place of the file that they were read from."""
    if isinstance(planner, Wrapper):
        return replace(planner, inner=self_contained(planner.inner))  # type: ignore[type-var]
    if isinstance(planner, Levels) and planner.file is not None:
        return Levels(groups="/".join(" ".join(map(str, level)) for level in planner.levels))
    return planner


def _blockless(rule: Planner, block_lengths: Sequence[int], cache: str, eos: str) -> bool:
    """Whether answers and calls are the same at all of these block lengths: equal counts from left to right.

    Where an end token stops a row, it does so at the end of a block, and a cache keeps what a block leaves.
    """
    if cache != "none" or eos != "ignore" or not isinstance(rule, LeftToRight) or rule.per_step is None:
        return False
    return all(length % rule.per_step == 0 for length in block_lengths)


def _asked(questions: Questions) -> list[object]:
    return [list(questions.prompts), questions.chat, list(questions.stop)]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
