"""`dus compare`: the same prompt under several planners, side by side."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import options
from dus.cli.output import answer, as_json
from dus.cli.prompts import read_prompts, to_rows
from dus.writing.files import write

if TYPE_CHECKING:
    from torch import Tensor

    from dus.decoding import Generation
    from dus.denoisers import MaskedLM

USUAL = ["dus", "confidence(like=dus)"]


@dataclass(frozen=True)
class Outcome:
    """What a planner made of the prompt, and the median of the seconds it took."""

    planner: str
    generation: Generation
    seconds: float


@options.takes(options.without(options.DECODING, "planner"), options.MODEL, options.FORM)
def compare(
    context: typer.Context,
    prompt: options.Prompt,
    planner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A planner; may be repeated. Token by token is always one of them.",
            show_default=", ".join(USUAL),
        ),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often each planner runs; the median time is shown.")] = 1,
    json: options.Json = False,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the planners named, filling in call by call, to this SVG."),
    ] = None,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int | None,
    chat: bool | None,
) -> None:
    """Compare planners on one prompt.

    The table shows the text, the denoiser calls (NFE), the tokens a call (TPF), the seconds, and the speed-up over
    token by token, side by side.
    """
    from dus.cli import InputError
    from dus.cli.moving import moving
    from dus.decoding import Settings
    from dus.evaluation.intervals import TOKEN_BY_TOKEN
    from dus.planners import parse

    prompts = read_prompts(prompt)
    if prompts[0].line is not None:
        raise InputError(f"compare takes one prompt, and {prompt} holds one a line: a text file holds one")
    rules = list(dict.fromkeys(str(parse(text)) for text in [TOKEN_BY_TOKEN, *(planner or USUAL)]))
    decoding = options.decoding(context)
    if temperature > 0 and seed is None:
        decoding["seed"] = 0
    Settings(**decoding)
    from dus.cli.loading import load_asked

    denoiser = load_asked(context)
    row = to_rows(denoiser, prompts, chat=chat, max_new_tokens=max_new_tokens)[0]
    outcomes = run(denoiser, row, rules, repeat, decoding)
    if svg is not None:
        named = {str(parse(text)) for text in planner or USUAL}
        shown = [outcome.generation for outcome in outcomes if outcome.planner in named]
        write(svg, moving(str(prompts[0].content), shown))
    if json:
        results = [_record(outcome, outcomes[0]) for outcome in outcomes]
        settings = {
            "block_length": outcomes[0].generation.trace.block_length,
            "seed": decoding["seed"],
            "repeat": repeat,
        }
        typer.echo(as_json({"prompt": prompts[0].content, **settings, "results": results}))
    else:
        _show(denoiser, outcomes)


def run(model: MaskedLM, row: Tensor, rules: list[str], repeat: int, decoding: dict[str, Any]) -> list[Outcome]:
    """The outcome of each planner in turn; a first call warms up and is not counted."""
    from rich.console import Console

    from dus.decoding import generate

    outcomes = []
    with Console(stderr=True).status("warming up") as status:
        generate(model, [row], planner="dus", **decoding)
        for rule in rules:
            status.update(rule)
            seconds = []
            for _ in range(repeat):
                began = time.perf_counter()
                generation = generate(model, [row], planner=rule, **decoding)
                seconds.append(time.perf_counter() - began)
            outcomes.append(Outcome(rule, generation, median(seconds)))
    return outcomes


def _record(outcome: Outcome, slowest: Outcome) -> dict[str, Any]:
    speed_up = slowest.seconds / outcome.seconds
    return {
        "planner": outcome.planner,
        **answer(outcome.generation, 0),
        "seconds": outcome.seconds,
        "speed_up": speed_up,
    }


def _show(model: MaskedLM, outcomes: list[Outcome]) -> None:
    """The table, each token on the colour of its step, a planner's last step being the last colour."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dus.cli.colours import coloured, scale
    from dus.writing.colours import block_steps

    table = Table(box=box.HORIZONTALS, pad_edge=False, show_lines=True)
    table.add_column("planner", overflow="fold", max_width=24)
    table.add_column("text", overflow="fold", ratio=1)
    for name in ("NFE", "TPF", "s", "speed-up"):
        table.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        generation = outcome.generation
        steps = block_steps(generation.trace.step[0], generation.trace.blocks[0])
        tokens = generation.tokens[0].tolist()
        count = max(steps, default=0) + 1
        text = coloured(model.tokenizer, tokens, steps[: len(tokens)], count, mask=model.mask_token_id)
        figures = (
            f"{generation.nfe[0]}",
            f"{generation.tpf[0]:.2f}",
            f"{outcome.seconds:.2f}",
            f"{outcomes[0].seconds / outcome.seconds:.2f}",
        )
        table.add_row(Text(outcome.planner), text, *figures)
    console = Console(highlight=False)
    console.print(table)
    if console.color_system is not None:
        console.print(scale())
