"""A sweep on disk: a record, a file of JSON lines for each finished cell, and the shards of those under way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from dus.decoding.settings import CACHES, EOS
from dus.evaluation.cells import Cell, SweepError
from dus.evaluation.engine import Answered, Shard
from dus.evaluation.tasks import Unit
from dus.writing.files import LockedError, alone, write

COUNTS = ("nfe", "useful", "written", "distance", "pairs", "isolated", "unmasked")
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)
"""What reading a damaged file raises."""


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        cell: The cell that was answered.
        unit: The unit of the scores.
        samples: For each prompt, in the order of the questions, its `index`, the `prompt`, what is right (`answer`;
            None if the questions do not say), the `text`, its `score`, and the counts of `engine.Answer`.
        seconds: The seconds that decoding took, for each shard; shards may have been decoded side by side.
        chat: Whether prompts stood in the chat template; None if that was not noted.
    """

    cell: Cell
    unit: Unit
    samples: list[dict[str, Any]]
    seconds: list[float]
    chat: bool | None = None


class Store:
    """The folder of a sweep. Files appear when they are whole, so that whatever is there can be relied on.

    Args:
        folder: The folder, which is made when the first thing is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells, self.shards = folder / "cells", folder / "shards"

    def begin(self, model: dict[str, Any], session: dict[str, Any]) -> None:
        """Note what is about to happen.

        Args:
            model: The facts about the model that answers; a folder holds the answers of one model.
            session: The circumstances of the run.

        Raises:
            SweepError: The folder holds answers of another model, or of an unknown one.
        """
        record: dict[str, Any] = {"model": model, "sessions": []}
        recorded = (self.folder / "record.json").exists()
        before = self.record() if recorded else record
        if any(self.cells.glob("*.jsonl")) or any(self.shards.glob("*.json")):
            if not recorded:
                raise SweepError(f"{self.folder} holds answers and no record of the model: name another folder")
            record = before
        for key in sorted(model.keys() | record["model"].keys()):
            there, here = record["model"].get(key), model.get(key)
            if there != here:
                raise SweepError(
                    f"{self.folder} holds the answers of another model ({key} {there}, not {here}): name another folder"
                )
        record["sessions"].append(session)
        write(self.folder / "record.json", json.dumps(record, indent=1))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from sweeping into the folder, until this one is done, or killed.

        Raises:
            SweepError: Another process does so; the message names it.
        """
        try:
            with alone(self.folder):
                yield
        except LockedError as error:
            raise SweepError(str(error)) from None

    def record(self) -> dict[str, Any]:
        """`model`, and `sessions`: for each start of the sweep its circumstances.

        Raises:
            SweepError: There is no record, or a damaged one.
        """
        path = self.folder / "record.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            _check_record(record)
        except FileNotFoundError:
            raise SweepError(f"{self.folder} holds no sweep: there is no record.json") from None
        except DAMAGE as error:
            raise SweepError(f"{path} is damaged ({error}), and without it nobody knows which model answered") from None
        return record

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished."""
        return self._cell(cell).exists()

    def missing(self, cell: Cell) -> set[int]:
        """The numbers of the shards that are still to be decoded."""
        return {number for number in range(cell.shards) if not self._shard(cell, number).exists()}

    def keep(self, shard: Shard, answered: Answered, scores: list[float], answers: list[str | None]) -> None:
        """Write a shard.

        Args:
            shard, answered: The prompts, and their answers.
            scores: The scores of the answers.
            answers: The right answers.
        """
        found = zip(shard.indices, shard.prompts, answers, scores, answered.answers, strict=True)
        samples = [
            {"index": index, "prompt": prompt, "answer": answer, "score": score, **asdict(given)}
            for index, prompt, answer, score, given in found
        ]
        write(
            self._shard(shard.cell, shard.number), json.dumps({"seconds": answered.seconds, "samples": samples}) + "\n"
        )

    def joined(self, cell: Cell, unit: Unit, chat: bool) -> Outcome:
        """What the shards of a cell hold, all of them there."""
        parts = [self._read_shard(cell, number) for number in range(cell.shards)]
        samples = sorted((sample for part in parts for sample in part["samples"]), key=lambda sample: sample["index"])
        return Outcome(cell, unit, samples, [part["seconds"] for part in parts], chat)

    def finish(self, outcome: Outcome) -> Outcome:
        """Write the file of a cell, and remove its shards."""
        head = {"cell": asdict(outcome.cell), "unit": outcome.unit, "seconds": outcome.seconds, "chat": outcome.chat}
        lines = "".join(json.dumps(line) + "\n" for line in (head, *outcome.samples))
        write(self._cell(outcome.cell), lines)
        self.drop_shards(outcome.cell)
        return outcome

    def drop_shards(self, cell: Cell) -> None:
        """Remove the shards of a finished cell."""
        for number in range(cell.shards):
            self._shard(cell, number).unlink(missing_ok=True)

    def read(self, cell: Cell) -> Outcome:
        """A finished cell.

        Raises:
            SweepError: Its file is damaged.
        """
        return _read_cell(self._cell(cell))

    def outcomes(self) -> Iterator[Outcome]:
        """All finished cells, in no particular order.

        Raises:
            SweepError: A file is damaged.
        """
        for path in sorted(self.cells.glob("*.jsonl")):
            yield _read_cell(path)

    def _cell(self, cell: Cell) -> Path:
        return self.cells / f"{cell.name}.jsonl"

    def _shard(self, cell: Cell, number: int) -> Path:
        return self.shards / f"{cell.name}-{number:04}.json"

    def _read_shard(self, cell: Cell, number: int) -> dict[str, Any]:
        path = self._shard(cell, number)
        try:
            part = json.loads(path.read_text(encoding="utf-8"))
            _check(part["samples"], [part["seconds"]])
        except DAMAGE as error:
            raise SweepError(f"{path} is damaged ({error}): delete it, and the sweep decodes it again") from None
        return part


def _read_cell(path: Path) -> Outcome:
    try:
        head, *samples = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        cell = Cell(**head["cell"])
        _check_cell(cell, head["unit"])
        if not isinstance(head.get("chat"), bool | None):
            raise TypeError("chat is neither true nor false")
        _check(samples, head["seconds"])
        if cell.name != path.stem:
            raise ValueError("its name is another cell's")
        if [sample["index"] for sample in samples] != list(range(cell.problems)):
            raise ValueError(f"it holds {len(samples)} answers to {cell.problems} prompts, or not in their order")
        return Outcome(cell, head["unit"], samples, head["seconds"], head.get("chat"))
    except DAMAGE as error:
        raise SweepError(f"{path} is damaged ({error}): delete it, and the sweep decodes it again") from None


def _check_record(record: Any) -> None:
    """Raise one of `DAMAGE` where a record lacks what pages read, or that is something else."""
    model, sessions = record["model"], record["sessions"]
    if not (isinstance(model, dict) and isinstance(sessions, list)):
        raise TypeError("no model or no sessions")
    texts = [model["name"], *(session.get("command", "") for session in sessions)]
    parts = [session.get(name, {}) for session in sessions for name in ("versions", "hardware")]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(part, dict) for part in parts):
        raise TypeError("a name, a command, the versions or the hardware are something else")
    for session in sessions:
        gpus = session.get("hardware", {}).get("gpus") or []
        if not isinstance(gpus, list) or not all(isinstance(gpu, str) for gpu in gpus):
            raise TypeError("a GPU is something other than a name")


def _check_cell(cell: Cell, unit: object) -> None:
    """Raise one of `DAMAGE` where a field of a cell is of another type, or nothing that a sweep decodes."""
    kinds = {"str": str, "int": int, "float": int | float}
    for field in fields(cell):
        value = getattr(cell, field.name)
        if not isinstance(value, kinds[str(field.type)]) or isinstance(value, bool):
            raise TypeError(f"{field.name} is {value!r}")
    if unit not in get_args(Unit) or cell.cache not in CACHES or cell.eos not in EOS:
        raise ValueError(f"unit {unit!r}, cache {cell.cache!r} or eos {cell.eos!r} is unknown")
    if min(cell.problems, cell.block_length, cell.batch_size) < 1:
        raise ValueError("it asks for nothing")


def _check(samples: list[dict[str, Any]], seconds: list[float]) -> None:
    """Raise one of `DAMAGE` where something is missing, or is no number."""
    numbers = [value for sample in samples for value in (sample["score"], *(sample[name] for name in COUNTS))]
    if not all(math.isfinite(number) for number in (*numbers, *seconds)):
        raise ValueError("a number is not finite")
    for sample in samples:
        if not isinstance(sample["text"], str) or not isinstance(sample["prompt"], str):
            raise TypeError("a text is missing")
