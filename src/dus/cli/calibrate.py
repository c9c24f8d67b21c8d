"""`dus calibrate`: a schedule made for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import texts as options
from dus.cli.options import Device, Dtype, MaxNewTokens, Model


def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the levels go, as JSON.")],
    *,
    calls: Annotated[int | None, typer.Option(min=1, help="The most denoiser calls for all the new tokens.")] = None,
    quality: Annotated[float | None, typer.Option(min=0, help="The most nats a token that may be lost.")] = None,
    max_new_tokens: MaxNewTokens = 64,
    block_length: Annotated[str, typer.Option(help="Block lengths to choose from, separated by commas.")] = "8,16",
    model: Model = None,
    task: options.Task = "arithmetic",
    level: options.Level = 3,
    texts: options.Count = 64,
    kind: options.Kind = None,
    rate: options.Rate = 0.9,
    seed: options.Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was measured to this page.")] = None,
) -> None:
    """Choose block length and levels for a model, for a number of calls or for a quality.

    Half of the texts say how much any two known tokens of a block tell of every other; from that the levels follow.
    The other half say what they lose, beside DUS and groups of neighbours. The planner levels(file='FILE') runs them.
    """
    from dus.lab.theory.calibrate import calibrate as calibrated
    from dus.lab.theory.report import calibration as report

    options.check_targets(out, page)
    lengths = options.numbers("--block-length", block_length, 2)
    found = options.measured(context, length=max(lengths))
    best = calibrated(found.model, found.texts, lengths, max_new_tokens, calls=calls, quality=quality, seed=seed)
    best.write(out, command=options.typed(context), model=found.name)
    typer.echo(report.section(best))
    typer.echo(f"levels(file='{out}') with a block length of {best.chosen.block_length}, or without the file:")
    typer.echo(str(best.chosen.planner))
    if page is not None:
        options.written_page(page, f"Levels for {found.name}", options.typed(context), report.page(best, str(out)))
