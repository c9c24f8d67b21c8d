"""A model's forward as code that torch generates for it."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from dus.denoisers.base import DenoiserError

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_CXX = ("g++", "clang++", "cl")
# Graphs of one forward: with and without padding, alone and in a batch, with each way of a cache to name its columns.
_GRAPHS = 64


def compile_forward(model: nn.Module, mode: str) -> None:
    """Have `torch.compile` generate a model's forward, in place, when it is first called; results differ by rounding.

    Lengths stay free: one graph serves canvases, batches and blocks of every size. The modes that capture CUDA graphs
    (`reduce-overhead`, `max-autotune`) need sizes that are fixed, and compile for each anew. A scheduled planner has
    few: log2 B in a block, and a whole canvas for each prompt length. Graphs are captured for `cache="none"` alone: a
    cache's tensors are new in every generation, and a graph is bound to its memory.

    Args:
        model: A transformers model, or its body.
        mode: The mode of `torch.compile`.

    Raises:
        DenoiserError: The mode is unknown, or a model on the CPU finds no C++ compiler.
    """
    if mode not in MODES:
        raise DenoiserError(f"compile is {mode!r}, known are True and {', '.join(MODES)}.")
    names = [os.environ.get("CXX", ""), *_CXX]
    if next(model.parameters()).device.type == "cpu" and not any(shutil.which(name) for name in names):
        raise DenoiserError("compile on a CPU needs a C++ compiler: install g++ or clang, or name yours in CXX.")
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _GRAPHS)
    model.compile(dynamic=mode in ("default", "max-autotune-no-cudagraphs"), mode=mode)
