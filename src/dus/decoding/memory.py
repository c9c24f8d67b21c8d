"""What a row takes of a device's memory, and how much of that is free."""

from __future__ import annotations

from pathlib import Path

import torch

from dus.decoding.settings import Settings
from dus.denoisers import Denoiser

_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def row_bytes(model: Denoiser, settings: Settings, length: int) -> int:
    """Roughly what a row takes at the peak of a step, beside the weights.

    Keys and values of the whole canvas, where they are kept; and the larger of what a forward needs in passing, one
    layer's activations over the whole canvas, and of what is made of a block's logits afterwards: for each of them
    once its bytes in the model's dtype, and 18 more for the sampler, the softmax and the entropy, or 36 where top-p or
    top-k sort them. Under guidance the denoiser has two rows for each. The denoiser's own `row_bytes` tells its part;
    one without counts as its logits.

    Args:
        model: a denoiser.
        settings: how to decode.
        length: of the row with all its masks.
    """
    copies = 1 if settings.cfg_scale == 0 else 2
    inside = getattr(model, "row_bytes", None)
    kept, passing = inside(length, cached=settings.cache != "none") if inside else (0, 0)
    sorting = settings.temperature > 0 and (settings.top_p is not None or settings.top_k is not None)
    each = copies * getattr(getattr(model, "dtype", None), "itemsize", 4) + (36 if sorting else 18)
    logits = min(settings.block_length, length) * model.vocab_size * each
    return copies * kept + max(copies * passing, logits)


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that is free to use; None where that is not known, as on a Mac."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    try:
        lines = _MACHINE.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:  # what a container is granted may be less than what the machine has
        granted = int((_CONTAINER / "memory.max").read_text(encoding="ascii"))
        taken = int((_CONTAINER / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or no limit, which reads "max"
        return free
    return min(free, max(granted - taken + _idle_files(), 0))


def _idle_files() -> int:
    """What a container holds of files that were read, and gives up where memory is needed."""
    try:
        counts = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(counts["inactive_file"])
    except (OSError, KeyError, ValueError):
        return 0


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device refused memory; the CPU's allocator has no error class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: " in str(error)
