"""`dus train`: makes the bundled model, or one like it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def train(
    out: Annotated[Path | None, typer.Option(help="Folder of the run; empty or new, unless --resume.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in total.", show_default="10000")] = None,
    decay: Annotated[
        int | None,
        typer.Option(min=0, help="Over how many of the last steps the learning rate falls.", show_default="half"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the weights and the problems.", show_default="0")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What to train on, separated by commas, or with the shares of each, arithmetic=2,code=1; the "
            "tokenizer is learned from it.",
            show_default="all",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="bundled (5 M parameters), base (54 M) or dream (2 M, in Dream's format).", show_default="bundled"
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder of a run whose weights this one begins with; it has 4800 steps, and its rates fall from the "
            "beginning.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Train a small model for a minute; the exit code is 1 if it learns nothing.")
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(help="With --check: the family of that model, by its model_type.", show_default="llada"),
    ] = None,
) -> None:
    """Train a small masked diffusion model on generated problems.

    OUT/model is then what `dus.load` takes. Now and then the model answers problems; programs that it writes for `code`
    run in the sandbox. A run ends early with a short decay: `--resume --steps NOW+800 --decay 800`.
    """
    from dus.lab.training import check as checking
    from dus.lab.training import run
    from dus.lab.training.settings import chosen

    if check:
        with tempfile.TemporaryDirectory() as folder:
            learned, report = checking.check((out or Path(folder)) / "check", seed or 0, family or "llada")
        typer.echo(f"{'learned' if learned else 'learned nothing'}: {report}")
        raise typer.Exit(0 if learned else 1)
    if family is not None:
        raise typer.BadParameter("it goes with --check; a run is of a --size", param_hint="--family")
    if out is None:
        raise typer.BadParameter("name the folder of the run", param_hint="--out")
    tasks = None if task is None else task.split(",")
    settings = chosen(out, start=start, steps=steps, decay=decay, seed=seed, tasks=tasks, size=size, resume=resume)
    typer.echo(f"trained: {run.train(out, settings, resume=resume)}")
