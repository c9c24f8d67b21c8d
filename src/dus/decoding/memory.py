"""How many rows fit in a device's memory: what each takes, and how much is free."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

import torch

from dus.decoding.settings import GenerationError, Settings
from dus.denoisers import Denoiser

SHARE = 0.8
"""Of the free memory, what is planned with: the estimate is rough, and memory comes in pieces."""

_COLUMN = 25
"""Bytes of a position on the canvas: its token, its step, two scores and a mark."""

_REFUSED = ("DefaultCPUAllocator: ", "out of memory", "ALLOC_FAILED")
"""What an error says that is one of memory."""

_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


class BatchWarning(UserWarning):
    """Rows that do not fit in memory together are decoded a part at a time."""


def places(model: Denoiser, settings: Settings, lengths: Mapping[int, int], most: int) -> int:
    """How many rows are decoded together: `most`, or fewer where memory is short, with a warning.

    Args:
        model: The denoiser.
        settings: The settings of the generation, in which the cache mode is no longer "auto".
        lengths: The length of each row with all its masks, by the row's number.
        most: The number of rows that are decoded together if memory allows it.

    Raises:
        GenerationError: The longest row does not fit even alone.
    """
    count, longest = min(most, len(lengths)), max(lengths.values())
    free = free_bytes(torch.device(model.device))
    if free is None:
        return count
    each = row_bytes(model, settings, longest)
    fitting = bisect_right(range(1, count + 1), SHARE * free, key=lambda rows: rows * each)
    if not fitting and each > free:
        raise too_long(lengths, f"needs about {_gb(each)}, and {_gb(free)} are free")
    if fitting < count:
        warn(
            f"{count} rows of {longest} tokens need about {_gb(count * each)}, and {_gb(free)} are free: they are "
            f"decoded {max(fitting, 1)} at a time"
        )
    return max(fitting, 1)


def too_long(lengths: Mapping[int, int], what: str) -> GenerationError:
    """What to say of the longest row, which does not fit alone."""
    row = max(lengths, key=lengths.__getitem__)
    return GenerationError(
        f"row {row}, of {lengths[row]} tokens, {what}: a shorter prompt, fewer new tokens, shorter blocks or an int8 "
        "model take less"
    )


def warn(message: str) -> None:
    """Say that rows are decoded a part at a time."""
    warnings.warn(message, BatchWarning, stacklevel=2)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def row_bytes(model: Denoiser, settings: Settings, length: int) -> int:
    """Roughly what a row takes at the peak of a step, beside the weights.

    Keys and values of the whole canvas, where they are kept; and the larger of what a forward needs in passing, one
    layer's activations over the whole canvas, and of what is made of a block's logits afterwards: for each of them
    once its bytes in the model's dtype, and 18 more for the sampler, the softmax and the entropy, or 36 where top-p or
    top-k sort them, and 20 for a planner that compares them with the step before. Under guidance the denoiser has two
    rows for each. The denoiser's own `row_bytes` tells its part.

    Args:
        model: The denoiser.
        settings: The settings of the generation.
        length: The length of the row with all its masks.
    """
    copies = 1 if settings.cfg_scale == 0 else 2
    kept, passing = model.row_bytes(length, cached=settings.cache != "none")
    sorting = settings.temperature > 0 and (settings.top_p is not None or settings.top_k is not None)
    each = copies * model.dtype.itemsize + (36 if sorting else 18) + (20 if settings.rule.compares else 0)
    logits = min(model.block_length or settings.longest, length) * model.vocab_size * each
    return copies * (kept + _COLUMN * length) + max(copies * passing, logits)


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


def is_lost(error: Exception) -> bool:
    """Whether a device answers no more: after such an error every later call of the process fails as well."""
    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device refused memory; the CPU's allocator and CUDA's libraries have no error class of their own."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _REFUSED)
