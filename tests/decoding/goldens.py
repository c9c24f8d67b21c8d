"""Reference checkpoints whose decoding traces are known."""

import os
from functools import cache
from pathlib import Path

from dus.denoisers import load

FOLDERS = [Path(__file__).parents[1] / "data" / "golden", *map(Path, filter(None, [os.environ.get("DUS_GOLDEN")]))]


def traced():
    """The folders that hold a checkpoint and its `traces.json`: the tests' own, and those where DUS_GOLDEN points."""
    files = [file for folder in FOLDERS for file in (*folder.glob("*/traces.json"), *folder.glob("traces.json"))]
    assert files, f"no traces.json in {FOLDERS}"
    return sorted({file.parent.resolve() for file in files})


@cache
def checkpoint(folder):
    """The denoiser in float32, loaded once."""
    return load(folder, dtype="float32", device="cpu")
