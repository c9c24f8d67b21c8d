"""A grid of planners, block lengths and cache modes on held-out problems, each cell on disk as soon as it is done."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dus.decoding import generate
from dus.denoisers import Denoiser
from dus.evaluation.accuracy import Accuracy
from dus.planners import parse
from dus.tasks import get


class SweepError(ValueError):
    """A folder of results that does not belong to the sweep that is asked for."""


@dataclass(frozen=True)
class Cell:
    """One planner on one set of problems; equal cells give the same answers.

    Attributes:
        task, level: whose held-out problems.
        planner: its text, as `str(planner)` writes it.
        block_length: positions of a block.
        cache: how much a step recomputes.
        limit: how many problems, from the first on.
        seed: of the draws, where there are any.
    """

    task: str
    level: int
    planner: str
    block_length: int
    cache: str = "none"
    limit: int = 500
    seed: int = 0

    @property
    def file_name(self) -> str:
        """The name of the cell's file, a digest of its settings."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16] + ".json"


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        cell: the cell.
        model: what answered, as the user named it.
        samples: for each problem `question`, `answer` (the right one), `text`, `right`, `nfe` and `tpf`.
        seconds: of decoding, all problems together.
    """

    cell: Cell
    model: str
    samples: list[dict[str, Any]]
    seconds: float

    @property
    def accuracy(self) -> Accuracy:
        """How many problems were solved."""
        return Accuracy(sum(sample["right"] for sample in self.samples), len(self.samples))

    @property
    def nfe(self) -> float:
        """Denoiser calls a problem, the mean."""
        return sum(sample["nfe"] for sample in self.samples) / len(self.samples)

    @property
    def tpf(self) -> float:
        """Tokens before the end token over denoiser calls, of all problems together."""
        calls = sum(sample["nfe"] for sample in self.samples)
        return sum(sample["tpf"] * sample["nfe"] for sample in self.samples) / calls


def grid(
    *,
    task: str,
    levels: list[int],
    planners: list[str],
    block_lengths: list[int],
    caches: list[str],
    limit: int,
    seed: int = 0,
) -> list[Cell]:
    """All cells of a grid.

    Raises:
        PlannerError, TaskError: naming what is unknown.
    """
    known = get(task).name
    rules = [parse(text) for text in planners]
    return [
        Cell(known, level, str(rule), block_length, cache, limit, seed)
        for level in levels
        for rule in rules
        for block_length in block_lengths
        for cache in caches
    ]


def sweep(model: Denoiser, cells: list[Cell], folder: Path, *, name: str, batch_size: int = 64) -> Iterator[Outcome]:
    """Decode each cell and write it to the folder; cells that are there already are read, not decoded again.

    Args:
        model: the denoiser.
        cells: what to decode.
        folder: for the results, made if it is missing.
        name: of the model; a folder holds the results of one model only.
        batch_size: problems decoded together.

    Raises:
        SweepError: where the folder holds another model's results, or a damaged file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        path = folder / cell.file_name
        if path.exists():
            yield read(path, name)
            continue
        outcome = _decoded(model, cell, name, batch_size)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        partial.replace(path)
        yield outcome


def read(path: Path, name: str) -> Outcome:
    """The outcome in a file.

    Raises:
        SweepError: where it is damaged, or another model's.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        outcome = Outcome(**{**found, "cell": Cell(**found["cell"])})
    except (ValueError, TypeError, KeyError) as error:
        raise SweepError(f"{path} is not a result of a sweep ({error}): delete it to have it made again") from None
    if outcome.model != name:
        raise SweepError(f"{path.parent} holds results of {outcome.model}, not of {name}: name another folder")
    return outcome


def _decoded(model: Denoiser, cell: Cell, name: str, batch_size: int) -> Outcome:
    task = get(cell.task)
    problems = task.held_out(cell.level, 500 if cell.limit <= 500 else 2000)[: cell.limit]
    began = time.perf_counter()
    generation = generate(
        model,
        [problem.question for problem in problems],
        planner=cell.planner,
        max_new_tokens=task.answer_tokens[cell.level],
        block_length=cell.block_length,
        cache=cell.cache,  # type: ignore[arg-type]
        seed=cell.seed,
        batch_size=batch_size,
        chat=True,
        scores=False,
    )
    seconds = time.perf_counter() - began
    samples = [
        {
            "question": problem.question,
            "answer": problem.answer,
            "text": text,
            "right": task.score(problem, text),
            "nfe": nfe,
            "tpf": tpf,
        }
        for problem, text, nfe, tpf in zip(problems, generation.text or [], generation.nfe, generation.tpf, strict=True)
    ]
    return Outcome(cell, name, samples, seconds)
