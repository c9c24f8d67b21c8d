"""Other packages' remarks that nobody asked for: those that loading would print, and those of torchao's import."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as remarks

_TALKING = ("torchao", "torch.utils._pytree")


@contextmanager
def _silenced() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALKING]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


# Transformers' models import torchao where it is installed, which then names the kernels for other GPUs that it cannot
# load, and torch comments on how it registers its types.
with _silenced():
    import transformers.quantizers  # noqa: F401


@contextmanager
def quiet_loading(progress: bool) -> Iterator[None]:
    """Transformers without its warnings, which the errors here repeat, and without a progress bar for a blink."""
    verbosity, shown = remarks.get_verbosity(), remarks.is_progress_bar_enabled()
    remarks.set_verbosity_error()
    if not progress:
        remarks.disable_progress_bar()
    try:
        yield
    finally:
        remarks.set_verbosity(verbosity)
        if shown:
            remarks.enable_progress_bar()
