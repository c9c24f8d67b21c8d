"""`dus bench`: the cost of a generation, beside the textbook loop and the bare forwards."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dus.cli import InputError
from dus.cli.options import BlockLength, Device, Dtype, Json, Model

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
    page: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file.")] = None,
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
    text = _page(found)
    if page is not None:
        with replacing(page) as file:
            file.write(text)
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def _model(model: str | None, shape: str | None, scale: float, dtype: str, device: str) -> Any:
    from dus.cli.loading import load_model

    if shape is None:
        return load_model(model, dtype=dtype, device=device)
    import torch

    from dus.bench.shapes import random_model

    where = torch.accelerator.current_accelerator() if device == "auto" else torch.device(device)
    kind = torch.bfloat16 if dtype == "auto" else getattr(torch, dtype)
    return random_model(shape, scale, dtype=kind, device=where or "cpu")


def _page(found: dict[str, Any]) -> str:
    """One line a way as Markdown: its time over the first line's and over its floor's, and where the time went."""
    machine, setting = found["machine"], found["setting"]
    first = found["lines"][0]["seconds"]
    heads = ("", "seconds", "tokens/s", "faster", "calls", "over floor", "denoiser", "planner", "rest", "agrees")
    rows = []
    for line in found["lines"]:
        inside = [f"{line['nfe']}", f"{line['over_floor']:.3f}"] if "nfe" in line else ["", ""]
        shares = [f"{line[share]:.1%}" if "nfe" in line else "" for share in ("denoiser", "planner", "rest")]
        timed = [f"{line['seconds']:.3f}", f"{line['tokens_per_second']:.0f}", f"{first / line['seconds']:.2f}×"]
        rows.append([f"`{line['name']}`", *timed, *inside, *shares, f"{line['agreement']:.0%}"])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows])
    return f"""# What a generation costs

Made by

    {shlex.join(["dus", *sys.argv[1:]])}

{machine["parameters"] / 1e6:.1f} million parameters in {machine["dtype"]} on {machine["device"]}, threads:
{machine["threads"]}, torch {machine["torch"]}, transformers {machine["transformers"]}. Planner `{setting["planner"]}`,
rows: {setting["batch"]}, prompts of {setting["prompt"]} random tokens, {setting["new"]} tokens generated in blocks of
{setting["block_length"]}. Medians of {setting["repeats"]} rounds in which all ways took turns, after one that was not
timed.

{table}

*faster*: over the first line. *over floor*: over the same denoiser calls with nothing around them. *denoiser*,
*planner*, *rest*: shares of the time of one run that is watched. *agrees*: tokens equal to the first line's; with
random weights, where every token is a near tie, this says little about quality.
"""
