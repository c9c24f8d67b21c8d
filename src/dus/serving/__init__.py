"""Answers for many: an OpenAI-compatible server with a live page, batches of prompts, and both on a Ray cluster.

Everything here is a client of `dus.decoding.Engine`; `dus serve` and `dus batch` are the commands.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_SHAPES = "32"
_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def keep_memory_low() -> None:
    """Bound what a process that decodes for days keeps of memory; called before torch is imported or threads begin.

    Calls of ever new shapes come to an engine, whose rows come and go. For each, torch (`LRU_CACHE_CAPACITY`) and
    oneDNN keep what they made for a product, of the last thousand unless told: at most a gigabyte for a model of five
    million parameters, where only the layers of one call share a shape. And glibc gives each thread a heap of its own,
    in which tensors that come and go leave several hundred megabytes that nothing uses. What the environment says
    already is left as it is.
    """
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, _SHAPES)
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
