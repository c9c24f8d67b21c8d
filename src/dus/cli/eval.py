"""`dus eval`: planners on problems with checkable answers, a grid of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import options
from dus.cli.output import command_line

if TYPE_CHECKING:
    from dus.evaluation.engine import Engine
    from dus.evaluation.presets import Preset
    from dus.evaluation.store import Outcome
    from dus.evaluation.tasks import Questions

OF_PRESET = "the preset's"


@options.takes(
    options.pick(options.CLUSTER, "engine", "workers"), options.MODEL, options.pick(options.FORM, "quantize")
)
def evaluate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the results; a sweep that was stopped goes on there.")],
    *,
    preset: Annotated[
        str, typer.Option(help="What holds where nothing else is said: default, field, leaders, order, report, …")
    ] = "default",
    task: Annotated[
        str, typer.Option(help="Tasks, separated by commas: arithmetic, code, …, or gsm8k and other benchmarks.")
    ] = "arithmetic",
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the data of gsm8k and other benchmarks.", show_default="the hub")
    ] = None,
    level: Annotated[str | None, typer.Option(help="Difficulties of the problems.", show_default=OF_PRESET)] = None,
    planner: Annotated[
        list[str] | None, typer.Option(help="Text of a planner; may be repeated.", show_default=OF_PRESET)
    ] = None,
    block_length: Annotated[
        str | None, typer.Option(help="How many positions are decoded together.", show_default=OF_PRESET)
    ] = None,
    cache: Annotated[str, typer.Option(help="How much is computed again at each step: none, prefix, …")] = "none",
    eos: Annotated[
        str | None, typer.Option(help="At the end token: stop, ignore, or both.", show_default=OF_PRESET)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="How many problems a cell has.", min=1, show_default=OF_PRESET)
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Seeds of what is drawn.", show_default=OF_PRESET)] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="0 takes the likeliest token.", show_default="0; 1 where likelihood is the score"),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="How many tokens an answer may have.", show_default="the task's")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="How many problems are decoded together.", min=1)] = 64,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--no-chat", help="Put prompts in the model's chat template.", show_default="for tasks of our own"
        ),
    ] = None,
    confirm_run_unsafe_code: Annotated[
        bool,
        typer.Option("--confirm-run-unsafe-code", help="Run what the model writes, where that is how it is scored."),
    ] = False,
    model: str | None,
    device: str,
    engine: str,
    workers: int | None,
) -> None:
    """Answer problems under a grid of planners, and score the answers.

    Several values of an option are separated by commas. `dus report OUT` makes the tables and pictures.
    """
    from dus.cli.loading import asked as asked_of
    from dus.cli.loading import identity_of
    from dus.cli.progress import SweepBar
    from dus.evaluation.presets import preset as named
    from dus.evaluation.store import Store
    from dus.evaluation.sweep import check_consent, sweep

    given: dict[str, Any] = {
        "levels": _numbers("--level", level),
        "planners": None if planner is None else tuple(planner),
        "once": None if planner is None else (),
        "block_lengths": _numbers("--block-length", block_length),
        "eos": None if eos is None else _words(eos),
        "limit": limit,
        "seeds": _numbers("--seed", seed),
        "max_new_tokens": max_new_tokens,
    }
    chosen = replace(named(preset), **{name: value for name, value in given.items() if value is not None})
    asked = [questions for name in _words(task) for questions in _asked(name, chosen, limit, data_dir, chat)]
    cells = chosen.cells(asked, caches=_words(cache), temperature=temperature, batch_size=batch_size)
    check_consent(asked, confirm_run_unsafe_code)
    store = Store(out)
    options.check_engine(engine, workers=workers)
    loading = asked_of(context.params)
    identity = identity_of(model, loading, here=not _elsewhere(engine, device))
    with _engine(engine, workers, model, {**loading, "dtype": identity["dtype"]}) as able, store.alone():
        store.begin(identity, _session(engine, workers))
        with SweepBar(cells, store) as bar:
            outcomes = list(sweep(able, asked, cells, store, run_code=confirm_run_unsafe_code, tell=bar))
    _show(outcomes, out)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(options.numbers(option, text))


def _asked(
    task: str, chosen: Preset, limit: int | None, data_dir: Path | None, chat: bool | None
) -> Sequence[Questions]:
    """A task of our own at each level; or a benchmark, the whole of it where no limit was given."""
    from dus.evaluation.tasks import TASKS, get, held_out

    if task in TASKS or find_spec("lm_eval") is None:
        asked = [held_out(get(task), level, chosen.limit) for level in chosen.levels]
        return asked if chat is None else [replace(questions, chat=chat) for questions in asked]
    from dus.evaluation.harness.tasks_questions import benchmark

    return [benchmark(task, data_dir=data_dir, limit=limit, chat=bool(chat))]


def _elsewhere(engine: str, device: str) -> bool:
    """Whether the model may be on devices that this machine does not have."""
    return engine == "ray" and "RAY_ADDRESS" in os.environ and device != "cpu"


def _engine(
    engine: str, workers: int | None, model: str | None, loading: dict[str, Any]
) -> AbstractContextManager[Engine]:
    from dus.cli.loading import load_model
    from dus.evaluation.engine import Local

    load = partial(load_model, model, **loading)
    if engine == "ray":
        from dus.integrations.ray import RayEngine

        return RayEngine(load, workers, gpus=0 if loading["device"] == "cpu" else None)
    return nullcontext(Local(load))


def _session(engine: str, workers: int | None) -> dict[str, Any]:
    from dus.evaluation.record import circumstances

    doing = "ray engine" + (f", {workers} workers" if workers else "") if engine == "ray" else "local engine"
    return circumstances(command=command_line(), engine=doing)


def _show(outcomes: Sequence[Outcome], out: Path) -> None:
    """The tables, as they are where nobody looks."""
    from rich.console import Console
    from rich.markdown import Markdown

    from dus.evaluation.report.results import sections
    from dus.evaluation.report.tables import everything

    parts = [f"## {section.title}\n\n{everything(section)}" for section in sections(outcomes)]
    text = "\n\n".join([*parts, f"`dus report {out}` makes the page, with pictures, tests and CSV files."])
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text)
