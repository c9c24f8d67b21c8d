"""The folder of a run: its log, `log.jsonl`, one JSON object of numbers a line, and its checkpoints."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from dus.writing.files import write

LONGEST_PAUSE = 900.0  # seconds between two entries beyond which a run was not running


def entries(folder: Path) -> list[dict[str, float]]:
    """What was logged, in order; a last line that was not written to its end is left out."""
    file = folder / "log.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def append(folder: Path, entry: dict[str, float]) -> None:
    """Adds a line."""
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def cut(folder: Path, step: int) -> None:
    """Leaves out what was logged after `step`, which a run that is resumed there logs again."""
    kept = [entry for entry in entries(folder) if entry["step"] <= step]
    write(folder / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in kept))


def hours(folder: Path) -> float:
    """Hours that the run was running, pauses between its entries left out."""
    times = [entry["time"] for entry in entries(folder)]
    steps = (later - sooner for sooner, later in pairwise(times))
    return sum(step for step in steps if 0 < step < LONGEST_PAUSE) / 3600


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: the Trainer writes `trainer_state.json` last."""
    states = [path for path in folder.glob("checkpoint-*/trainer_state.json") if _number(path.parent).isdecimal()]
    return max((path.parent for path in states if _whole(path)), key=step_of, default=None)


def _whole(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text()))
    except ValueError:
        return False


def step_of(checkpoint: Path) -> int:
    """The optimizer steps that were done when `checkpoint` was written."""
    return int(_number(checkpoint))


def _number(checkpoint: Path) -> str:
    return checkpoint.name.removeprefix("checkpoint-")
