"""Planners for masked diffusion language models: the Dilated Unmasking Scheduler and its field.

    import dus

    model = dus.load("GSAI-ML/LLaDA-8B-Instruct")
    print(dus.generate(model, "Why is the sky blue?", planner="dus").text[0])

The names below are imported when they are first used, so that `import dus` itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dus.decoding import Generation, Step, Trace, generate, infill, steps
    from dus.denoisers import Denoiser, load
    from dus.planners import (
        DUS,
        Confidence,
        ConfidenceBounded,
        Deferred,
        Entropy,
        EntropyBounded,
        Factor,
        LeftToRight,
        Margin,
        Planner,
        Random,
        ReMDM,
        Saber,
        Spaced,
        parse,
    )

__all__ = [
    "DUS",
    "Confidence",
    "ConfidenceBounded",
    "Deferred",
    "Denoiser",
    "Entropy",
    "EntropyBounded",
    "Factor",
    "Generation",
    "LeftToRight",
    "Margin",
    "Planner",
    "Random",
    "ReMDM",
    "Saber",
    "Spaced",
    "Step",
    "Trace",
    "generate",
    "infill",
    "load",
    "parse",
    "steps",
]
_DECODING = {"Generation", "Step", "Trace", "generate", "infill", "steps"}
_DENOISERS = {"Denoiser", "load"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dus' has no attribute {name!r}")
    room = "decoding" if name in _DECODING else "denoisers" if name in _DENOISERS else "planners"
    return getattr(import_module(f"dus.{room}"), name)


def __dir__() -> list[str]:
    return __all__
