"""Reference checkpoints, some with decoding traces."""

import json
import os
from functools import cache
from pathlib import Path

from dus.denoisers import load

FOLDERS = [Path(__file__).parents[1] / "data" / "golden", *map(Path, filter(None, [os.environ.get("DUS_GOLDEN")]))]


def holding(name):
    """The folders that hold a file: among the tests' own checkpoints, and those where DUS_GOLDEN points."""
    files = [file for folder in FOLDERS for file in (*folder.glob(f"*/{name}"), *folder.glob(name))]
    assert files, f"no {name} in {FOLDERS}"
    return sorted({file.parent.resolve() for file in files if attends_fully(file.parent)})


def attends_fully(folder):
    """Whether a checkpoint's attention is over the whole canvas, with the loops of LLaDA and Dream."""
    config = json.loads((folder / "config.json").read_text())
    return config["model_type"] in ("llada", "Dream") and "num_experts" not in config


def traced():
    """The checkpoints that come with decoding traces."""
    return holding("traces.json")


@cache
def checkpoint(folder):
    """The denoiser in float32, loaded once."""
    return load(folder, dtype="float32", device="cpu")
