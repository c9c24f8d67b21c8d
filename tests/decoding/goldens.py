"""Reference checkpoints, some with decoding traces."""

import os
from functools import cache
from pathlib import Path

from dus.denoisers import load

FOLDERS = [Path(__file__).parents[1] / "data" / "golden", *map(Path, filter(None, [os.environ.get("DUS_GOLDEN")]))]


def holding(name):
    """The folders that hold a file: among the tests' own checkpoints, and those where DUS_GOLDEN points."""
    files = [file for folder in FOLDERS for file in (*folder.glob(f"*/{name}"), *folder.glob(name))]
    assert files, f"no {name} in {FOLDERS}"
    return sorted({file.parent.resolve() for file in files})


def traced():
    """The checkpoints that come with decoding traces."""
    return holding("traces.json")


@cache
def checkpoint(folder):
    """The denoiser in float32, loaded once."""
    return load(folder, dtype="float32", device="cpu")
