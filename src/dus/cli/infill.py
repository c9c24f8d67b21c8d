"""`dus infill`: fills the blanks of a text, or of a file of them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dus.cli import options
from dus.cli.output import as_json, print_figures, print_texts, records
from dus.cli.prompts import read_prompts, texts_of

Text = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        show_default=False,
        help="The text, in which [MASK] stands for a token; or - for standard input; or a text file; or a .jsonl file, "
        "one text a line: an object with question, prompt or text.",
    ),
]


@options.takes(options.without(options.DECODING, "max_new_tokens", "stop", "eos", "chat"), options.MODEL, options.FORM)
def infill(
    context: typer.Context,
    text: Text,
    end_tokens: Annotated[bool, typer.Option("--end-tokens", help="Let end tokens fill blanks too.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="How often each text is filled.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="How many texts are filled together.")] = 16,
    json: options.Json = False,
    *,
    planner: str,
) -> None:
    """Fill in every [MASK] of a text, or of many texts.

    The whole texts go to standard output, one for each line of a .jsonl file; figures and progress go to standard
    error. With --json, one JSON document is printed, or one a line for a .jsonl file.
    """
    prompts = read_prompts(text)
    decoding = {"planner": planner, **options.decoding(context)}
    from dus.cli.loading import load_asked
    from dus.cli.progress import PromptsBar
    from dus.decoding import Settings
    from dus.decoding import infill as fill

    settings = Settings(**decoding)  # what is wrong with it is said before the model is loaded
    denoiser = load_asked(context)
    texts = texts_of(denoiser, prompts)
    asked = {"end_tokens": end_tokens, "samples": samples, "batch_size": batch_size, **decoding}
    began = time.perf_counter()
    with PromptsBar(len(prompts), samples, settings) as bar:
        generation = fill(denoiser, texts, progress=bar, **asked)
    seconds = time.perf_counter() - began
    many = prompts[0].line is not None
    if not json:
        print_texts(prompts, generation, samples)
        print_figures(len(generation.nfe), sum(generation.nfe), sum(generation.useful), seconds, None)
        return
    for record in records(prompts, generation, samples):
        typer.echo(as_json(record if many else {**record, "seconds": seconds}))
