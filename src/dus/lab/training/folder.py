"""The checkpoints in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path


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
