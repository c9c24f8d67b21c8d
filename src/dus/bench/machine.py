"""What a measurement was made on, and the memory that something takes."""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dus import __version__
from dus.denoisers import NativeLM
from dus.denoisers.packed import weights
from dus.evaluation.record import processor

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def machine(model: NativeLM) -> dict[str, Any]:
    """What a measurement was made on: processor or GPU, threads, versions, model size."""
    gpu = model.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if gpu else processor(),
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(held.numel() for held in weights(model.model)),
        "python": platform.python_version(),
        "dus": __version__,
        **{name: version(name) for name in ("torch", "transformers")},
    }


def peak_memory(action: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that an action takes at its peak, over what was taken before.

    On a GPU they are torch's, on a CPU those of the whole process, and None where the system does not tell.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        _give_back()
        _CLEAR.write_text("5", encoding="ascii")  # the peak begins anew
        before = _resident("VmRSS")
    except (OSError, AttributeError, KeyError):
        action()
        return None
    action()
    return max(_resident("VmHWM") - before, 0)


def _give_back() -> None:
    """Let the C library return to the system what was freed, or the next peak would not show."""
    ctypes.CDLL(None).malloc_trim(0)


def _resident(field: str) -> int:
    """Bytes of a field of the process's status."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE))
    return int(found[field]) * 1024
