"""What a training run is, and how it is chosen on the command line or read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from dus.evaluation.tasks import LEVELS, TASKS
from dus.lab.training.folder import newest_checkpoint
from dus.lab.training.model import SIZES, Size


class TrainingError(ValueError):
    """A run that cannot be started or resumed as asked; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What a run is: equal settings give the same batches.

    `steps` optimizer steps of `tokens_per_batch` tokens; the learning rates fall over the last `decay` of them. Both
    may be changed when a run is resumed: a run is ended early by a resume with a small `steps` and `decay`. `tasks` are
    what is trained on, and what the tokenizer is learned from; `shares`, where there are any, are theirs in the tokens,
    relative to each other.
    `start` is the folder of the run whose averaged weights this one begins with, where they are not random.
    Of each task, `judged` held-out problems of each of the `judged_levels` are decoded at the end, and `tried` of
    levels 1 and 2 every `try_every` steps.
    """

    steps: int = 10_000
    decay: int = 5_000
    seed: int = 0
    start: str | None = None
    tasks: tuple[str, ...] = tuple(TASKS)
    shares: tuple[float, ...] = ()
    size: Size = SIZES["bundled"]
    warmup: int = 100
    tokens_per_batch: int = 8192
    matrix_lr: float = 0.02
    other_lr: float = 0.01
    log_every: int = 20
    save_every: int = 200
    probe_every: int = 200
    try_every: int = 2000
    tried: int = 32
    judged: int = 500
    judged_levels: tuple[int, ...] = LEVELS


def stored_settings(folder: Path) -> Settings:
    """The settings of the run in `folder`; TrainingError where there is none."""
    try:
        return of_fields(json.loads((folder / "settings.json").read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{folder} holds no training run: {error}") from None


def of_fields(fields: Mapping[str, Any]) -> Settings:
    """The settings that `asdict` made `fields` of, read back from JSON."""
    several = {name: tuple(fields[name]) for name in ("judged_levels", "tasks", "shares") if name in fields}
    return Settings(**{**fields, **several, "size": Size(**fields["size"])})


def chosen(
    folder: Path,
    *,
    start: Path | None = None,
    steps: int | None,
    decay: int | None,
    seed: int | None,
    tasks: Sequence[str] | None,
    size: str | None,
    resume: bool,
) -> Settings:
    """The settings of a run to be begun, or of the one in `folder` to be resumed, None leaving them as they are.

    Where only `steps` is given, the learning rates fall over the second half of them, or over all after the warm-up
    where the run begins with the weights of the one in `start`, whose size it then has.

    Raises:
        TrainingError: for a size or a task that does not exist, or a `start` that is no run, has no
            checkpoint yet or is of another size.
    """
    if size is not None and size not in SIZES:
        raise TrainingError(f"no size {size!r}: the sizes are {', '.join(SIZES)}")
    if resume and start is not None:
        raise TrainingError("--resume goes on with a run as it was begun: leave --from out")
    settings = stored_settings(folder) if resume else begun_from(start) if start else Settings()
    if start and size is not None and SIZES[size] != settings.size:
        raise TrainingError(f"the run in {start} is not of size {size}, and gives the one begun from it its own size")
    names, shares = (settings.tasks, settings.shares) if tasks is None else _shares_of(tasks)
    if decay is None and steps is not None:
        decay = steps // 2 if settings.start is None else max(0, steps - settings.warmup)
    steps = settings.steps if steps is None else steps
    decay = settings.decay if decay is None else decay
    if decay > steps:
        raise TrainingError(
            f"the learning rate cannot fall for {decay:,} of {steps:,} steps: a decay is at most the steps"
        )
    return replace(
        settings,
        steps=steps,
        decay=decay,
        seed=settings.seed if seed is None else seed,
        tasks=names,
        shares=shares,
        size=settings.size if size is None else SIZES[size],
    )


def _shares_of(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The tasks that `arithmetic`, … or `arithmetic=2`, … name, in their usual order, and their shares."""
    given = dict(text.partition("=")[::2] for text in texts)
    if unknown := [task for task in given if task not in TASKS]:
        raise TrainingError(f"no task {unknown[0]!r}: the tasks are {', '.join(TASKS)}")
    names = tuple(task for task in TASKS if task in given)
    if not any(given.values()):
        return names, ()
    try:
        shares = tuple(float(given[task]) for task in names)
    except ValueError:
        shares = ()
    if not shares or not all(0 < share < inf for share in shares):
        raise TrainingError("give no task a share or all of them a positive number, as in arithmetic=1,code=0.5")
    return names, shares


def begun_from(start: Path) -> Settings:
    """What is used to begin with the weights of the run in `start`: lower learning rates, which fall from the start.

    At the rates that random weights need, much of what the weights can do is lost before the rates fall.
    """
    size = stored_settings(start).size
    if newest_checkpoint(start) is None:
        raise TrainingError(f"the run in {start} has no checkpoint yet to begin with")
    return replace(
        Settings(),
        start=str(start.resolve()),
        size=size,
        steps=4800,
        decay=4600,
        warmup=200,
        matrix_lr=0.012,
        other_lr=0.006,
    )
