"""The circumstances of a sweep: which model answered, with what software, on what machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "lm_eval", "ray")
_PIECES, _PIECE = 64, 1 << 16


def fingerprint(folder: Path) -> str:
    """16 hexadecimal digits for a checkpoint: 64 pieces of 64 KB of each of its files, the smaller ones whole.

    Another training run changes every piece of the weights; reading them all would take minutes for a model of 8B.
    """
    found = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        found.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for piece in range(_PIECES):
                file.seek(piece * max(size - _PIECE, 0) // (_PIECES - 1))
                found.update(file.read(_PIECE))
    return found.hexdigest()[:16]


def circumstances(**asked: Any) -> dict[str, Any]:
    """Versions, git revision and hardware, after what the sweep was asked for.

    Args:
        asked: The command, the engine, the settings, or anything else that JSON holds.
    """
    import torch

    from dus import __version__

    return {
        **asked,
        "versions": {"python": platform.python_version(), "dus": __version__, **_versions()},
        "git": revision(Path(__file__)),
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
            "system": platform.platform(),
        },
    }


def revision(file: Path) -> str | None:
    """The commit of the repository that a file is tracked in, with `-dirty` where files differ; None where none is."""
    git = ["git", "-C", str(file.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True)
        described = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
