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
    from dus.planners import Planner, parse

_ROOMS = {
    "decoding": ("Generation", "Step", "Trace", "generate", "infill", "steps"),
    "denoisers": ("Denoiser", "load"),
    "planners": ("Planner", "parse"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Denoiser",
    "Generation",
    "Planner",
    "Step",
    "Trace",
    "generate",
    "infill",
    "load",
    "parse",
    "steps",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dus' has no attribute {name!r}")
    return getattr(import_module(f"dus.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
