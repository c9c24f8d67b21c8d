"""`dus bench`: the cost of a generation, beside the textbook loop and the bare forwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError
from dus.cli.options import BlockLength, Device, Dtype, Json, Model

if TYPE_CHECKING:
    from rich.table import Table

CACHES = ["none", "prefix", "dual", "block", "touched"]


def bench(
    *,
    model: Model = None,
    shape: Annotated[str | None, typer.Option(help="Time a random model of this shape instead: llada-8b.")] = None,
    scale: Annotated[float, typer.Option(help="Width, depth, mlp and vocabulary of the shape times this.")] = 1.0,
    planner: Annotated[str, typer.Option(help="Text of a planner.")] = "dus",
    cache: Annotated[list[str] | None, typer.Option(help="A cache mode; may be repeated.", show_default="all")] = None,
    textbook: Annotated[bool, typer.Option(help="Time the textbook loop too.")] = True,
    batch: Annotated[int, typer.Option(help="Rows generated together.", min=1)] = 1,
    prompt: Annotated[int, typer.Option(help="Tokens of each prompt.", min=1)] = 256,
    new: Annotated[int, typer.Option(help="Tokens generated for each.", min=1)] = 256,
    block_length: BlockLength = 32,
    repeats: Annotated[int, typer.Option(help="Rounds of which the median is taken.", min=1)] = 5,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", min=1, show_default="torch's")] = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the JSON to this file as well.")] = None,
    as_json: Json = False,
) -> None:
    """Time a generation in each cache mode, side by side, on prompts of random tokens."""
    import torch

    from dus.bench.measure import Bench, Setting
    from dus.cli.output import replacing

    if shape is None and scale != 1.0:
        raise InputError("--scale goes with --shape: it scales a random model, not a checkpoint")
    if threads is not None:
        torch.set_num_threads(threads)
    setting = Setting(planner, batch, prompt, new, block_length, repeats)
    found = Bench(_model(model, shape, scale, dtype, device), setting).run(cache or CACHES, with_textbook=textbook)
    if out is not None:
        with replacing(out) as file:
            json.dump(found, file, indent=1)
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console

    Console().print(_table(found), soft_wrap=True)


def _model(model: str | None, shape: str | None, scale: float, dtype: str, device: str) -> Any:
    from dus.cli.loading import load_model

    if shape is None:
        return load_model(model, dtype=dtype, device=device)
    import torch

    from dus.bench.shapes import random_model

    where = torch.accelerator.current_accelerator() if device == "auto" else torch.device(device)
    kind = torch.bfloat16 if dtype == "auto" else getattr(torch, dtype)
    return random_model(shape, scale, dtype=kind, device=where or "cpu")


def _table(found: dict[str, Any]) -> Table:
    """One line a way; its time over the first line's and over its floor's, and where the time went."""
    from rich.table import Table

    machine, setting = found["machine"], found["setting"]
    table = Table(
        title=f"{machine['parameters'] / 1e6:.0f} M parameters, {machine['dtype']}, {machine['device']}, "
        f"{machine['threads']} threads; {setting['planner']}, batch {setting['batch']}, "
        f"{setting['prompt']} + {setting['new']} tokens, blocks of {setting['block_length']}"
    )
    for heading in (
        "",
        "seconds",
        "tokens/s",
        "faster",
        "calls",
        "over floor",
        "denoiser",
        "planner",
        "rest",
        "agrees",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    first = found["lines"][0]["seconds"]
    for line in found["lines"]:
        inside = "nfe" in line
        table.add_row(
            line["name"],
            f"{line['seconds']:.3f}",
            f"{line['tokens_per_second']:.0f}",
            f"{first / line['seconds']:.2f}x",
            str(line["nfe"]) if inside else "",
            f"{line['over_floor']:.3f}" if inside else "",
            *(f"{line[share]:.1%}" if inside else "" for share in ("denoiser", "planner", "rest")),
            f"{line['agreement']:.0%}",
        )
    return table
