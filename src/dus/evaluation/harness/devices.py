"""What a machine gives: processes that share the requests, and as many rows as fit in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from dus.evaluation.harness.arguments import logger
from dus.evaluation.harness.reading import Rows

Attempt: TypeAlias = Callable[[int], object]
"""Something done with a number of rows, to see whether they fit in memory."""


def accelerator(device: Any) -> Any | None:
    """Accelerate's view of this process where `accelerate launch` or torchrun started several; None where it is alone.

    Without a GPU, or where `device` is the CPU, the processes share that. At the end they wait for the slowest of
    them, for as long as it takes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    cpu = str(device) == "cpu" or torch.accelerator.current_accelerator(check_available=True) is None
    return Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(weeks=52))])


def present(device: Any) -> Any:
    """The device, or `auto` for a GPU of a machine without: lm-eval's command line names cuda:0 where nobody did."""
    import torch

    if str(device).startswith("cuda") and not torch.cuda.is_available():
        logger.info("there is no device %s here, and the model is put elsewhere", device)
        return "auto"
    return device


def fitting(asked: Rows, most: int, attempt: Attempt) -> int:
    """The rows of a batch: as asked, or for `auto` the first of `most`, its half, … whose attempt fits in memory."""
    if asked != "auto":
        return asked
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    while True:
        try:
            attempt(most)
            logger.info("batches of %d rows fit in memory", most)
            return most
        except RuntimeError as error:
            if most == 1 or not should_reduce_batch_size(error):
                raise
        clear_device_cache()
        most //= 2
