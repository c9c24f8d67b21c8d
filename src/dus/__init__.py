"""Planners for masked diffusion language models: the Dilated Unmasking Scheduler and its field.

    import dus

    model = dus.load("GSAI-ML/LLaDA-8B-Instruct")
    print(dus.generate(model, "Why is the sky blue?", planner="dus").text[0])

The public names stand in `__init__.pyi`. They are imported when they are first used, so that `import dus` itself costs
nothing; `__version__` is that of the installed package.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_ROOMS = {name: room for room, name in re.findall(r"^from (\S+) import (\w+) as", _STUB, re.MULTILINE)}
__all__ = sorted(_ROOMS)  # noqa: PLE0605 (a list all the same)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("dus-lm")
        except PackageNotFoundError:
            return "0+source"  # run from its source and not installed
    if name not in _ROOMS:
        raise AttributeError(f"module 'dus' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
