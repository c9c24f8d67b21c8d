"""`dus bench`: the cost of a generation, beside the textbook loop and the bare forwards, and how it grows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from dus.cli import InputError, options
from dus.cli.loading import asked, load_model
from dus.cli.output import command_line, replacing

if TYPE_CHECKING:
    from dus.bench.measure import Workload
    from dus.denoisers import NativeLM

CACHES = ["none", "prefix", "dual", "block", "touched"]
USUAL = {"batch": 1, "prompt": 256, "new": 256, "block": 32}


@options.takes(options.MODEL)
def bench(
    context: typer.Context,
    *,
    shape: Annotated[
        str | None, typer.Option(help="Time a random model of this shape instead: llada-8b, llada2-mini, …")
    ] = None,
    scale: Annotated[float, typer.Option(help="Factor on the width, depth, MLP and vocabulary of the shape.")] = 1.0,
    planner: Annotated[
        list[str] | None, typer.Option(help="Text of a planner; may be repeated.", show_default="dus")
    ] = None,
    cache: Annotated[
        list[str] | None, typer.Option(help="Cache modes, separated by commas; may be repeated.", show_default="all")
    ] = None,
    quantize: Annotated[str | None, typer.Option(help="Time the quantized model too: int8.")] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Time the compiled model too.")] = False,
    textbook: Annotated[
        bool | None,
        typer.Option(help="Time the textbook loop too.", show_default="full attention, no --growth"),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="How many rows are generated together, as 1,8,32.", show_default="1")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Tokens of each prompt.", show_default="256")] = None,
    new: Annotated[str | None, typer.Option(help="Tokens that are generated for each.", show_default="256")] = None,
    block_length: Annotated[str | None, typer.Option(help="Positions of a block.", show_default="32")] = None,
    growth: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw a curve over prompt, new, block or batch, whose option then takes the values; may be repeated."
        ),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Split the speed-up over the textbook loop, token by token, into its parts.")
    ] = False,
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Time so many requests of mixed sizes in an engine of --batch places, and in batches; --prompt and "
            "--new are the largest sizes.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="How many rounds the median is taken of.", min=1)] = 5,
    threads: Annotated[
        int | None, typer.Option(help="How many processor threads are used.", min=1, show_default="torch's")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the JSON to this file as well.")] = None,
    page: options.Page = None,
    as_json: options.Json = False,
) -> None:
    """Time a generation in each cache mode, side by side.

    The prompts are random tokens. Several sizes, separated by commas, give a table each.
    """
    if shape is None and scale != 1.0:
        raise InputError("--scale goes with --shape: it scales a random model, not a checkpoint")
    growing = list(dict.fromkeys(growth or []))
    caches = [mode for several in cache or [] for mode in several.split(",")]
    planners = planner or ["dus"]
    single = not (growing or quantize or compile or len(caches) > 1)
    if split and not single:
        raise InputError("--split takes one model, one size and one --cache, and no --growth")
    if requests and (split or textbook or not single):
        raise InputError("--requests takes one model, one size and one --cache, and nothing else to time")
    sizes = _sizes({"batch": batch, "prompt": prompt, "new": new, "block": block_length}, growing)
    if len(planners) > 1 and (growing or split or requests):
        raise InputError("--growth, --split and --requests take one --planner")
    if (growing or requests) and page is not None:
        from dus.writing.style import require_matplotlib

        require_matplotlib()  # before the minutes that it takes
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    denoiser, variants = _forms(partial(_model, shape, scale, context.params), quantize, compile)
    rounds = {"planner": planners[0], "repeats": repeats}
    if requests:
        found = _requests(denoiser, sizes, rounds, requests, (caches or ["block"])[0])
    elif split:
        found = _split(denoiser, sizes, rounds, (caches or CACHES)[-1])
    else:
        beside = not growing and denoiser.block_length is None if textbook is None else textbook
        how = {"caches": caches or CACHES, "with_textbook": beside, "variants": variants}
        found = _measured(denoiser, sizes, growing, [{**rounds, "planner": each} for each in planners], how)
    text = _kept(found, out, page)
    typer.echo(json.dumps(found) if as_json else text)


def _sizes(given: dict[str, str | None], growing: list[str]) -> dict[str, list[int]]:
    """The values of each size; none where they are left open. Only what grows, or nothing, may have several."""
    if unknown := set(growing) - given.keys():
        raise InputError(f"--growth is {min(unknown)!r}, known are {', '.join(given)}")
    sizes = {}
    for name, text in given.items():
        try:
            sizes[name] = [int(part) for part in text.split(",")] if text else []
        except ValueError:
            sizes[name] = [0]
        if any(value < 1 for value in sizes[name]):
            raise InputError(f"sizes are whole numbers from 1 on, separated by commas, not {text!r}")
        if growing and name not in growing and len(sizes[name]) > 1:
            raise InputError(f"with --growth {growing[0]}, one value of the other sizes is enough: not {text!r}")
    return sizes


def _model(
    shape: str | None, scale: float, given: dict[str, Any], quantize: str | None = None, compile: bool = False
) -> NativeLM:
    """The model in one form: the one that a command's options, `given`, name, or a random one of the shape."""
    form = {"quantize": quantize, "compile": compile}
    if shape is None:
        return cast("NativeLM", load_model(given["model"], **asked({**given, **form})))
    import torch

    from dus.bench.shapes import random_model
    from dus.denoisers.arguments import place_of, type_of
    from dus.denoisers.load import prepared

    where, dtype = place_of(given["device"]), given["dtype"]
    kind = torch.bfloat16 if dtype == "auto" else cast("torch.dtype", type_of(dtype, where))
    made = random_model(shape, scale, dtype=kind, device=where, quantize=quantize)
    return cast("NativeLM", prepared(made, compile))


def _forms(load: Callable[..., NativeLM], quantize: str | None, compile: bool) -> tuple[NativeLM, dict[str, NativeLM]]:
    """The model, and the forms of it that are asked for, by name."""
    forms: dict[str, NativeLM] = {}
    if quantize:
        forms[quantize] = load(quantize=quantize)
    if compile:
        forms["compiled"] = load(compile=True)
    if quantize and compile:
        forms[f"{quantize} compiled"] = load(quantize=quantize, compile=True)
    return load(), forms


def _measured(
    model: NativeLM, sizes: dict[str, list[int]], growing: list[str], asked: list[dict[str, Any]], how: dict[str, Any]
) -> dict[str, Any]:
    """`machine`, `setting`, and `growth` or `runs`, of each planner's `asked`."""
    from dus.bench.growth import AXES, grow, values_for
    from dus.bench.machine import machine
    from dus.bench.measure import Bench, Workload

    fields = [AXES[name][0] for name in sizes]
    choices = [[USUAL[name]] if name in growing or not values else values for name, values in sizes.items()]
    settings = [
        Workload(**(each | dict(zip(fields, values, strict=True)))) for values in product(*choices) for each in asked
    ]
    found: dict[str, Any] = {"machine": machine(model), "setting": asdict(settings[0])}
    if not growing:
        return found | {"runs": [Bench(model, setting).run(**how) for setting in settings]}
    ranges = {axis: sizes[axis] or values_for(axis, model, settings[0]) for axis in growing}
    how["tell"] = lambda point: typer.echo(f"{point} …", err=True)
    return found | {"growth": [grow(model, settings[0], axis, values, **how) for axis, values in ranges.items()]}


def _split(model: NativeLM, sizes: dict[str, list[int]], asked: dict[str, Any], cache: str) -> dict[str, Any]:
    """`machine`, `setting` and `split`."""
    from dus.bench.machine import machine
    from dus.bench.seconds import where_the_seconds_go

    setting = _one(sizes, asked)
    split = where_the_seconds_go(model, setting, cache)
    return {"machine": machine(model), "setting": asdict(setting), "split": split}


def _requests(
    model: NativeLM, sizes: dict[str, list[int]], asked: dict[str, Any], count: int, cache: str
) -> dict[str, Any]:
    """`machine`, `setting` and `requests`."""
    from dus.bench.machine import machine
    from dus.bench.requests import measure

    setting = _one({"batch": [8], "prompt": [512], **{name: values for name, values in sizes.items() if values}}, asked)
    found = measure(model, setting, count, cache)
    return {"machine": machine(model), "setting": asdict(setting), "requests": found}


def _one(sizes: dict[str, list[int]], asked: dict[str, Any]) -> Workload:
    """The setting of the first value of each size."""
    from dus.bench.growth import AXES
    from dus.bench.measure import Workload

    chosen = {AXES[name][0]: (sizes.get(name) or [USUAL[name]])[0] for name in USUAL}
    return Workload(**(asked | chosen))


def _kept(found: dict[str, Any], out: Path | None, page: Path | None) -> str:
    """The page's text; what was found is written to the files that were asked for."""
    from dus.bench.growth import draw
    from dus.bench.page import page as as_page
    from dus.bench.requests import draw as draw_requests

    if out is not None:
        with replacing(out) as file:
            json.dump(found, file, indent=1)
    if page is None:
        return as_page(found, command_line())
    drawings: dict[str, Callable[[Path], None]] = {
        f"-{curves['axis']}": partial(draw, growth=curves) for curves in found.get("growth", [])
    }
    if "requests" in found:
        drawings[""] = partial(draw_requests, found=found["requests"], places=found["setting"]["batch"])
    text = as_page(found, command_line(), [f"{page.stem}{name}.svg" for name in drawings])
    with replacing(page) as file:
        for name, drawing in drawings.items():
            drawing(page.with_name(f"{page.stem}{name}"))
        file.write(text)
    return text
