"""The model card: what a bundled checkpoint was made from, how, how long, and how good it is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from dus.evaluation.intervals import TOKEN_BY_TOKEN
from dus.evaluation.tasks import LEVELS, TASKS, held_out
from dus.lab.training import journal
from dus.lab.training.measure import BLOCK_LENGTH, Verdict
from dus.lab.training.model import SIZES
from dus.lab.training.settings import read_start
from dus.writing.tables import filled

if TYPE_CHECKING:
    from dus.lab.training.data import Curriculum
    from dus.lab.training.settings import Start, TrainingSettings

FORMATS = {"llada": "LLaDA", "dream": "Dream"}

SCORING = {
    "code": " Programs run in the sandbox.",
    "text": " Passages of `text` are drawn at temperature 1 instead and scored by their true likelihood; what the "
    "source's own passages cost stands beside it.",
}
SOURCE_OF_TEXT = (
    "Passages of `text` come from a Markov source fitted on GSM8K's training questions; the other tasks use no outside "
    "text."
)


def hardware() -> str:
    """The processors that this process computes on."""
    import torch

    if torch.accelerator.is_available():
        return f"{torch.get_device_module().get_device_name()}"
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''} of {os.cpu_count()} ({platform.machine()})"


def write(
    folder: Path, settings: TrainingSettings, parameters: int, vocabulary: int, verdicts: Sequence[Verdict]
) -> str:
    """The card of the run in `folder`; `verdicts` say how well its model answers."""
    import torch
    import transformers

    from dus.lab.training.data import Curriculum

    log = journal.entries(folder)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    measured = [entry for entry in log if "equations" in entry][-1]
    curriculum = Curriculum.of(settings.tasks, settings.shares, begun=settings.start is not None)
    start = read_start(folder)
    return filled(
        Path(__file__).with_suffix(".md"),
        **asdict(settings.size),
        format=FORMATS.get(settings.size.family, settings.size.family),
        parameters=parameters,
        vocabulary=vocabulary,
        context=settings.size.max_length,
        planner=TOKEN_BY_TOKEN,
        block=BLOCK_LENGTH,
        scoring="".join(told for task, told in SCORING.items() if task in settings.tasks),
        sources=SOURCE_OF_TEXT if "text" in settings.tasks else "There is no outside text in the data.",
        otherwise=_otherwise(settings, log),
        accuracies="\n".join(_row(verdict) for verdict in verdicts),
        evaluation=_evaluation(settings),
        tasks=_tasks(curriculum),
        equations=_equations(curriculum),
        steps=settings.steps,
        tokens=settings.tokens_per_batch,
        total=settings.steps * settings.tokens_per_batch / 1e6,
        seed=settings.seed,
        start=_began(start, vocabulary) if start else "",
        constant=" are then constant," if settings.warmup + settings.decay < settings.steps else "",
        matrix_lr=settings.matrix_lr,
        other_lr=settings.other_lr,
        warmup=settings.warmup,
        decay=settings.decay,
        hardware=hardware(),
        hours=journal.hours(folder),
        loss=losses[-1],
        bounds="; ".join(_bounds(settings.tasks, measured)),
        equation_accuracy=measured["equations"],
        commands="\n".join(f"    {line}" for line in _commands(settings, start)),
        torch=torch.__version__,
        transformers=transformers.__version__,
    )


def _otherwise(settings: TrainingSettings, log: Sequence[Mapping[str, float]]) -> str:
    """That the learning rate was not always what the settings say, where a run was continued after its end."""
    from dus.lab.training.optimizer import trapezoid

    shape = {"warmup": settings.warmup, "steps": settings.steps, "decay": settings.decay}
    other = [
        int(entry["step"])
        for entry in log
        if "learning_rate" in entry
        and not isclose(
            entry["learning_rate"], settings.matrix_lr * trapezoid(int(entry["step"]) - 1, **shape), rel_tol=1e-3
        )
    ]
    if not other:
        return ""
    return f" (except in steps {min(other):,} to {max(other):,}, after which the run was continued)"


def _row(verdict: Verdict) -> str:
    beside = ""
    if verdict.task.unit == "nats":
        questions = held_out(verdict.task, verdict.level, len(verdict.scores))
        own = fmean(questions.score(i, problem.solution) for i, problem in enumerate(questions.problems))
        beside = f"; the source's own passages cost {own:.3f}"
    return f"| {verdict.task.name} | {verdict.level} | {verdict}{beside} |"


def _evaluation(settings: TrainingSettings) -> str:
    """The command that answers the same problems in the same way."""
    levels = ",".join(map(str, settings.judged_levels))
    consent = " --confirm-run-unsafe-code" * any(TASKS[task].runs_code for task in settings.tasks)
    return (
        f"dus eval --model DIR/model --out results/card --task {','.join(settings.tasks)} --level {levels} "
        f"--limit {settings.judged} --block-length {BLOCK_LENGTH} --planner '{TOKEN_BY_TOKEN}'{consent}"
    )


def _tasks(curriculum: Curriculum) -> str:
    total = sum(share for _, share, _ in curriculum.tasks)
    return "; ".join(f"{share / total:.0%} `{task}`, {_levels(levels)}" for task, share, levels in curriculum.tasks)


def _levels(shares: Sequence[float]) -> str:
    return " : ".join(f"{share:g}" for share in shares)


def _bounds(tasks: Sequence[str], measured: Mapping[str, float]) -> Iterator[str]:
    for name in tasks:
        yield f"{name} " + ", ".join(f"{measured[f'bound_{name}_{level}']:.3f}" for level in LEVELS)


def _equations(curriculum: Curriculum) -> str:
    first, last = curriculum.equations
    if not curriculum.ramp:
        return f"{last:.0%} of the rows."
    return (
        f"{first:.0%} of the rows at first and {last:.0%} after\n{curriculum.ramp:,} steps, in which the shares of the "
        f"levels go from {_levels(curriculum.levels)} to those above."
    )


def _began(start: Start, vocabulary: int) -> str:
    before = start.runs[-1]
    return (
        f" It began with the averaged weights of the\n  run before it below ({before.steps:,} steps on "
        f"{', '.join(before.tasks)}). Of its {vocabulary:,} tokens, {start.tokens:,} were in that run's vocabulary too "
        "and kept their vectors."
    )


def _commands(settings: TrainingSettings, start: Start | None) -> Iterator[str]:
    """The commands that make the run in DIR, those of the runs that it begins with before it."""
    folder = None
    for number, run in enumerate((*(start.runs if start else ()), settings), 1):
        own = "DIR" if run is settings else f"DIR{number}"
        yield " ".join(["dus train --out", own, *([f"--from {folder}"] if folder else []), *_options(run)])
        folder = own


def _options(settings: TrainingSettings) -> Iterator[str]:
    named = next((name for name, size in SIZES.items() if size == settings.size and name != "bundled"), None)
    tasks = None if settings.tasks == tuple(TASKS) else ",".join(settings.tasks)
    if settings.shares:
        tasks = ",".join(f"{task}={share:g}" for task, share in zip(settings.tasks, settings.shares, strict=True))
    options = {"steps": settings.steps, "decay": settings.decay, "seed": settings.seed, "size": named, "task": tasks}
    yield from (f"--{name} {value}" for name, value in options.items() if value is not None)
