"""A schedule made for one model, at a number of calls or for a quality; and counts of tokens, for the planner `pc`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.gap import Mean
from dus.lab.theory.known import Entropies, Known, of_blocks, pairs, planned
from dus.lab.theory.losses import ONE_BY_ONE, Losses, losses
from dus.lab.theory.schedules import Schedule, schedule_of
from dus.lab.theory.texts import Blocks, Texts
from dus.planners import Levels, parse
from dus.writing.files import write


@dataclass(frozen=True)
class Option:
    """One schedule of one block length.

    Attributes:
        name: `calibrated`, or the text of the planner that it is the schedule of.
        block_length: B.
        levels: The offsets of each step.
        calls: Denoiser calls for the whole text that was asked about.
        loss: Nats a token above token by token, left to right, measured on texts that the levels were not made from.
    """

    name: str
    block_length: int
    levels: list[list[int]]
    calls: int
    loss: Mean

    @property
    def planner(self) -> Levels:
        """The planner that runs the levels."""
        return _planner(self.levels)


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes:
        chosen: The option that serves best.
        options: All that were measured, in the order of their block lengths.
        tokens: How long the text is that the calls are counted for.
        texts: How many texts the losses of the chosen one are averaged over: those long enough for a block.
    """

    chosen: Option
    options: list[Option]
    tokens: int
    texts: int

    def write(self, path: Path, **about: object) -> None:
        """Write the levels to a file that the planner `levels(file=…)` reads, and what else is known of them."""
        best = self.chosen
        known = {
            "name": best.name,
            "calls": best.calls,
            "tokens": self.tokens,
            "nats a token above token by token": best.loss.nats,
            "standard error": best.loss.error,
            "texts": self.texts,
        }
        write_levels(path, best.levels, {**about, **known})


def write_levels(path: Path, levels: Iterable[Iterable[int]], about: Mapping[str, object]) -> None:
    """Write levels to a file that the planner `levels(file=…)` reads; it appears when it is whole.

    Args:
        path: The file that is written.
        levels: The offsets of each step.
        about: Where the levels come from, for whoever opens the file.

    Raises:
        PlannerError: Levels that are no partition of a block.
    """
    planner = _planner(levels)
    lines = ",\n  ".join(json.dumps(level) for level in planner.levels)
    origin = json.dumps(dict(about), ensure_ascii=False)
    write(path, f'{{\n "block_length": {planner.block_length},\n "levels": [\n  {lines}\n ],\n "about": {origin}\n}}\n')


def calibrate(
    model: Denoiser,
    texts: Texts,
    block_lengths: Sequence[int],
    tokens: int,
    *,
    calls: int | None = None,
    quality: float | None = None,
    seed: int = 0,
) -> Calibration:
    """Choose block length and levels for a model, for a number of calls or for a quality.

    On half of the texts it is measured how much any two known tokens of a block tell of every other; from that follow,
    for each block length and number of steps, the levels with the least bound on what they lose, from where a local
    search goes on with what it measures itself (`dus.lab.theory.known`). What its levels lose is measured on the other
    half, beside DUS and groups of neighbours at the same number of steps, and the best of these is taken: so the choice
    is never worse than either, as far as these texts can tell.

    Args:
        model: Any denoiser.
        texts: What it is used for.
        block_lengths: The block lengths that come into question.
        tokens: How long a text is to be generated.
        calls: The most denoiser calls that it may take; the option that loses least is chosen.
        quality: The most nats a token that may be lost; the option with the fewest calls is chosen.
        seed: The seed of the places of blocks in texts.

    Raises:
        TheoryError: Both or neither of calls and quality, a number of calls that no block length allows, a quality
            that none reaches, or texts too short.
    """
    if (calls is None) == (quality is None):
        raise TheoryError("a schedule is made for a number of calls or for a quality: give one of them")
    if min(block_lengths, default=0) < 2 or tokens < 1:
        raise TheoryError("block lengths start at 2, and there has to be a token to generate")
    if calls is not None and calls * max(block_lengths) < tokens:
        raise TheoryError(f"there are more blocks than calls ({calls}): longer blocks or more calls are needed")
    makers, judges = texts.split()
    measure = of_blocks(makers.blocks(model, max(block_lengths), seed=seed))
    known = pairs(measure, max(block_lengths))
    options: list[Option] = []
    measured: dict[int, int] = {}
    for length in sorted(block_lengths):
        blocks = judges.blocks(model, length, seed=seed)
        measured[length] = len(blocks)
        bench = _Bench(blocks, known.beginning(length), measure, tokens, losses(blocks, ONE_BY_ONE))
        options += bench.for_calls(calls) if calls is not None else bench.for_quality(quality or 0.0)
    best = _chosen(options, calls, quality)
    return Calibration(best, options, tokens, measured[best.block_length])


def _chosen(options: list[Option], calls: int | None, quality: float | None) -> Option:
    """The option that loses least, or, where a quality is wanted, the one with the fewest calls that has it."""
    if calls is not None:
        return min(options, key=lambda option: option.loss.nats)
    good = [option for option in options if option.loss.nats <= (quality or 0.0)]
    if not good:
        least = min(option.loss.nats for option in options)
        raise TheoryError(
            f"no schedule loses at most {quality:g} nats a token; the least that any loses is {least:.4f}"
        )
    return min(good, key=lambda option: (option.calls, option.loss.nats))


@dataclass(frozen=True, eq=False)
class _Bench:
    """Where the schedules of one block length are made and measured.

    Attributes:
        blocks: The blocks of the texts that judge.
        known: What is known of the block's tokens beforehand.
        measure: Tells more, of a block that begins with this one.
        tokens: The number of tokens of the whole text.
        one_by_one: The losses of token by token, left to right.
    """

    blocks: Blocks
    known: Known
    measure: Entropies
    tokens: int
    one_by_one: Losses

    def for_calls(self, calls: int) -> list[Option]:
        """The options of so many calls; none where there are more blocks than calls."""
        steps = min(calls // self._blocks(), self.known.length)
        return list(self._options(steps)) if steps else []

    def for_quality(self, quality: float) -> list[Option]:
        """The options of one step, of two, and so on, until one of them is good enough."""
        found: list[Option] = []
        for steps in range(1, self.known.length + 1):
            found += self._options(steps)
            if min(option.loss.nats for option in found) <= quality:
                break
        return found

    def _blocks(self) -> int:
        """How many blocks the text has; the last may be shorter."""
        return -(-self.tokens // self.known.length)

    def _options(self, steps: int) -> Iterator[Option]:
        """The calibrated schedule of at most so many steps, and others of as many."""
        length = self.known.length
        groups = planned(self.known, lambda places: self.measure(places)[:length], steps)
        yield self._measured("calibrated", groups)
        for text in ("dus", f"left-to-right(steps={steps})"):
            if parse(text).num_steps(length) == steps:
                yield self._measured(text, schedule_of(text, length))

    def _measured(self, name: str, groups: Schedule) -> Option:
        """The option of a schedule, with its loss."""
        planner = _planner(groups)
        whole = self._blocks() - 1
        calls = whole * len(planner.levels) + planner.num_steps(self.tokens - whole * self.known.length)
        loss = losses(self.blocks, planner).above(self.one_by_one)
        return Option(name, self.known.length, [list(level) for level in planner.levels], calls, loss)


def _planner(groups: Iterable[Iterable[int]]) -> Levels:
    return Levels(groups="/".join(" ".join(map(str, sorted(group))) for group in groups))


def frequencies(texts: Texts) -> dict[int, int]:
    """For each token how often it occurs in what is to be generated of the texts: no prompt, no filling behind the end.

    Raises:
        TheoryError: Texts of which nothing is to be generated.
    """
    found: Counter[int] = Counter()
    for row, first, end in zip(texts.rows, texts.firsts, texts.ends, strict=True):
        found.update(row[first:end].tolist())
    if not found:
        raise TheoryError(f"{texts.name} holds no token behind its prompts")
    return dict(sorted(found.items()))


def write_frequencies(path: Path, counts: Mapping[int, int], vocab_size: int, about: Mapping[str, object]) -> None:
    """Write counts to a file that the planner `pc(file=…)` reads; it appears when it is whole.

    Args:
        path: The file that is written.
        counts: How often each token occurs, by the id of the token.
        vocab_size: The size of the vocabulary of the model that the ids are for.
        about: Where the texts come from, for whoever opens the file.
    """
    record = {"vocab_size": vocab_size, "counts": dict(counts), "about": dict(about)}
    write(path, json.dumps(record, ensure_ascii=False) + "\n")
