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


def infill(
    context: typer.Context,
    text: Text,
    planner: Annotated[str, typer.Option(help="Which positions are written when; `dus planners` lists them.")] = "dus",
    model: options.Model = None,
    block_length: options.Blocks = 32,
    temperature: options.Temperature = 0.0,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    seed: options.Seed = None,
    cfg_scale: options.CfgScale = 0.0,
    cache: options.Cache = "none",
    suppress_tokens: options.SuppressTokens = None,
    defer_tokens: options.DeferTokens = None,
    end_tokens: Annotated[bool, typer.Option("--end-tokens", help="Let end tokens fill blanks too.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Fillings of each text.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts that are filled together.")] = 16,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    quantize: options.Quantize = None,
    compile: options.Compile = False,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    mask_token_id: options.MaskTokenId = None,
    json: options.Json = False,
) -> None:
    """Fill in every [MASK] of a text, or of each text of a .jsonl file, and print the whole texts.

    Figures and progress go to standard error. With --json: one JSON document, or one a line for a .jsonl file.
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
