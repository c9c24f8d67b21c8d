"""`dus generate`: answers one prompt, or a file of them."""

from __future__ import annotations

import time
from contextlib import nullcontext
from json import loads as parsed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError, options
from dus.cli.output import as_json, print_figures, print_texts, records, replacing
from dus.cli.prompts import Prompt, read_prompts, to_rows

if TYPE_CHECKING:
    from torch import Tensor

    from dus.decoding import Generation, Settings
    from dus.denoisers import MaskedLM

PromptOrLines = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        show_default=False,
        help="The prompt; or - for standard input; or a text file, which is one prompt; or a .jsonl file, one prompt "
        "a line: an object with question, prompt, text or chat messages.",
    ),
]


@options.takes(options.DECODING, options.MODEL, options.FORM)
def generate(
    context: typer.Context,
    prompt: PromptOrLines,
    samples: Annotated[int, typer.Option(min=1, help="How many answers are written to each prompt.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="How many answers are decoded together.")] = 16,
    watch: Annotated[bool, typer.Option("--watch", help="Show the blocks of one answer filling in.")] = False,
    json: options.Json = False,
    out: Annotated[Path | None, typer.Option(help="Write JSON lines to this file.", show_default=False)] = None,
    *,
    planner: str,
    max_new_tokens: int,
    chat: bool | None,
) -> None:
    """Answer a prompt, or each prompt of a .jsonl file in its order.

    The answer goes to standard output, figures and progress to standard error. With --json, one JSON document is
    printed, or one a line for a .jsonl file.
    """
    prompts = read_prompts(prompt)
    many = prompts[0].line is not None
    if watch and (many or samples > 1 or json):
        raise InputError("--watch shows one answer: it goes with one prompt, one sample and no --json")
    if many and out is not None and out.exists() and out.samefile(prompts[0].file or ""):
        raise InputError(f"--out {out} is the file of the prompts: name another one")
    decoding = {"planner": planner, **options.decoding(context)}
    from dus.cli.loading import load_asked
    from dus.decoding import Settings

    if many and out is not None:
        _into(out, context, prompts, decoding)
        return
    settings = Settings(**decoding)  # what is wrong with it is said before the model is loaded
    with replacing(out) if out else nullcontext() as file:
        denoiser = load_asked(context)
        rows = to_rows(denoiser, prompts, chat=chat, max_new_tokens=max_new_tokens)
        if watch:
            generation, seconds = _watched(denoiser, rows, settings, decoding)
        else:
            generation, seconds = _decoded(denoiser, rows, settings, {**decoding, "batch_size": batch_size}, samples)
        found = list(records(prompts, generation, samples))
        if file is not None:
            file.writelines(f"{as_json(record)}\n" for record in found)
    if json:
        for record in found:
            typer.echo(as_json(record if many else {**record, "seconds": seconds}))
    elif not watch and out is None:
        print_texts(prompts, generation, samples)
    if not json and not watch:
        print_figures(len(generation.nfe), sum(generation.nfe), sum(generation.useful), seconds, out)


def _into(out: Path, context: typer.Context, prompts: list[Prompt], decoding: dict[str, Any]) -> None:
    """Answer many prompts into a file."""
    from dus.cli.answering import into_file

    began = time.perf_counter()
    wrong = into_file(out, context, prompts, decoding)
    found = [parsed(line) for line in out.read_bytes().splitlines()]
    answers = [answer for record in found for answer in record.get("answers", ())]
    if context.params["json"]:
        for record in found:
            typer.echo(as_json(record))
    else:
        useful = sum(answer["tpf"] * answer["nfe"] for answer in answers)
        print_figures(len(answers), sum(answer["nfe"] for answer in answers), useful, time.perf_counter() - began, out)
    if wrong:
        raise InputError(f"{wrong} prompts could not be decoded: their lines in {out} have an error")


def _watched(
    model: MaskedLM, rows: list[Tensor], settings: Settings, decoding: dict[str, Any]
) -> tuple[Generation, float]:
    """The answer to the only row, drawn while it comes about; and the seconds it took."""
    from rich.console import Console

    from dus.cli.watch import Watch
    from dus.decoding import generate as decode

    with Watch(Console(highlight=False), model, settings) as view:
        generation = decode(model, rows, progress=view, **decoding)
        view.finish(generation)
    return generation, view.seconds


def _decoded(
    model: MaskedLM, rows: list[Tensor], settings: Settings, decoding: dict[str, Any], samples: int
) -> tuple[Generation, float]:
    """The answers to all rows, under a progress bar, and the seconds they took."""
    from dus.cli.progress import PromptsBar
    from dus.decoding import generate as decode

    began = time.perf_counter()
    with PromptsBar(len(rows), samples, settings) as bar:
        generation = decode(model, rows, progress=bar, samples=samples, **decoding)
    return generation, time.perf_counter() - began
