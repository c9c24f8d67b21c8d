"""`dus eval`: planners on a task's held-out problems."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dus.cli import InputError
from dus.cli.options import Device, Dtype, Model

if TYPE_CHECKING:
    from dus.evaluation import Outcome


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the results; a sweep that was stopped goes on there.")],
    *,
    model: Model = None,
    task: Annotated[str, typer.Option(help="Whose held-out problems.")] = "arithmetic",
    level: Annotated[str, typer.Option(help="Difficulties, separated by commas.")] = "1",
    planner: Annotated[list[str], typer.Option(help="Text of a planner; may be repeated.")] = [  # noqa: B006
        "confidence(per_step=1)",
        "confidence(like=dus)",
        "dus",
    ],
    block_length: Annotated[str, typer.Option(help="Block lengths, separated by commas.")] = "8,16,32",
    cache: Annotated[str, typer.Option(help="Cache modes, separated by commas.")] = "none",
    limit: Annotated[int, typer.Option(help="How many problems a cell.", min=1, max=2000)] = 500,
    seed: Annotated[int, typer.Option(help="Of the draws, where there are any.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Problems decoded together.", min=1)] = 64,
    dtype: Dtype = "auto",
    device: Device = "auto",
    page: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file.")] = None,
) -> None:
    """Count the problems that each planner solves, at each block length and in each cache mode."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from dus.cli.loading import load_model
    from dus.cli.output import replacing
    from dus.evaluation import sweep
    from dus.evaluation.sweep import grid

    cells = grid(
        task=task,
        levels=_numbers("--level", level),
        planners=planner,
        block_lengths=_numbers("--block-length", block_length),
        caches=[name.strip() for name in cache.split(",")],
        limit=limit,
        seed=seed,
    )
    denoiser = load_model(model, dtype=dtype, device=device)
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        progress = bar.add_task("cells", total=len(cells))
        for outcome in sweep(denoiser, cells, out, name=model or "bundled", batch_size=batch_size):
            outcomes.append(outcome)
            bar.advance(progress)
    text = _page(outcomes)
    if page is not None:
        with replacing(page) as file:
            file.write(text)
    Console().print(Markdown(text))


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes whole numbers separated by commas, not {text!r}") from None


def _page(outcomes: list[Outcome]) -> str:
    """The sweep's tables, a section a level, under the command that made them."""
    from dus.evaluation.page import comparison, table

    first = outcomes[0]
    command = shlex.join(["dus", *sys.argv[1:]])
    parts = [
        f"# Planners on `{first.model}`, task `{first.cell.task}`\n",
        f"Made by\n\n    {command}\n",
        f"The first {len(first.samples)} held-out problems a level, answered greedily; right answers with Wilson's "
        "95% interval, and mean denoiser calls a problem.\n",
    ]
    for level in sorted({outcome.cell.level for outcome in outcomes}):
        cells = [outcome for outcome in outcomes if outcome.cell.level == level]
        parts.append(f"## Level {level}\n\n{table(cells)}\n")
        names = {outcome.cell.planner for outcome in cells}
        if {"dus", "confidence(like=dus)"} <= names:
            parts.append(
                "The same problems under DUS and under self-confidence at the same number of calls: those that only "
                f"one of them solves.\n\n{comparison(cells, 'dus', 'confidence(like=dus)')}\n"
            )
    return "\n".join(parts)
