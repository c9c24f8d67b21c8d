"""What a training run is, how it is chosen on the command line or read back, and what it begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dus.evaluation.tasks import LEVELS, TASKS
from dus.lab.training.journal import newest_checkpoint
from dus.lab.training.model import SIZES, Size
from dus.writing.files import write

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from dus.lab.training.trainer import DenoiserTrainer


class TrainingError(ValueError):
    """A run that cannot be started or resumed as asked; the message says why."""


@dataclass(frozen=True)
class TrainingSettings:
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


def stored_settings(folder: Path) -> TrainingSettings:
    """The settings of the run in `folder`; TrainingError where there is none."""
    try:
        return of_fields(json.loads((folder / "settings.json").read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{folder} holds no training run: {error}") from None


def of_fields(fields: Mapping[str, Any]) -> TrainingSettings:
    """The settings that `asdict` made `fields` of, read back from JSON."""
    several = {name: tuple(fields[name]) for name in ("judged_levels", "tasks", "shares") if name in fields}
    return TrainingSettings(**{**fields, **several, "size": Size(**fields["size"])})


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
) -> TrainingSettings:
    """The settings of a run to be begun, or of the one in `folder` to be resumed, None leaving them as they are.

    Where only `steps` is given, the learning rates fall over the second half of them, or over all after the warm-up
    where the run begins with the weights of the one in `start`, whose size it then has.

    Raises:
        TrainingError: For a size or a task that does not exist, or a `start` that is no run, has no
            checkpoint yet or is of another size.
    """
    if size is not None and size not in SIZES:
        raise TrainingError(f"no size {size!r}: the sizes are {', '.join(SIZES)}")
    if resume and start is not None:
        raise TrainingError("--resume goes on with a run as it was begun: leave --from out")
    settings = stored_settings(folder) if resume else begun_from(start) if start else TrainingSettings()
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


def begun_from(start: Path) -> TrainingSettings:
    """What is used to begin with the weights of the run in `start`: lower learning rates, which fall from the start.

    At the rates that random weights need, much of what the weights can do is lost before the rates fall.
    """
    size = stored_settings(start).size
    if newest_checkpoint(start) is None:
        raise TrainingError(f"the run in {start} has no checkpoint yet to begin with")
    return replace(
        TrainingSettings(),
        start=str(start.resolve()),
        size=size,
        steps=4800,
        decay=4600,
        warmup=200,
        matrix_lr=0.012,
        other_lr=0.006,
    )


FILE = "start.json"
EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True)
class Start:
    """What a run began with: the last of `runs`, each of which began with the one before it.

    `tokens` tokens are in the vocabulary of both, and kept their vectors.
    """

    runs: tuple[TrainingSettings, ...]
    tokens: int


def begin_with(run: DenoiserTrainer, source: Path, vocabulary: PreTrainedTokenizerFast, seed: int) -> Start:
    """Gives `run` the averaged weights of the run in the folder `source`.

    Vocabularies differ where the tasks do: a token whose text is in both keeps its vector, every other one gets random
    values (by `seed`) with the standard deviation of those. `source` has a checkpoint of a network of the same size.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    from dus.lab.training.trainer import AVERAGE_NAME

    checkpoint = newest_checkpoint(source)
    assert checkpoint is not None, "settings.begun_from has looked"
    weights = load_file(checkpoint / AVERAGE_NAME)
    known = AutoTokenizer.from_pretrained(source / "tokenizer").get_vocab()
    shared = [(here, known[text]) for text, here in vocabulary.get_vocab().items() if text in known]
    here, there = torch.tensor(shared).T
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            if name == EMBEDDING:
                drawn = torch.Generator().manual_seed(seed)
                weight = torch.empty(parameter.shape).normal_(0.0, float(weights[name].std()), generator=drawn)
                weight[here] = weights[name][there]
                parameter.copy_(weight)
            else:
                parameter.copy_(weights[name])
            run.average.weights[name].copy_(parameter)
    before = read_start(source)
    return Start((*(before.runs if before else ()), stored_settings(source)), len(shared))


def save_start(folder: Path, start: Start) -> None:
    """Writes down in `folder` what its run began with."""
    write(folder / FILE, json.dumps(asdict(start), indent=1))


def read_start(folder: Path) -> Start | None:
    """What the run in `folder` began with; None where that was random weights."""
    file = folder / FILE
    if not file.exists():
        return None
    fields = json.loads(file.read_text())
    return Start(tuple(of_fields(run) for run in fields["runs"]), fields["tokens"])
