"""`dus infill`: fills the masks of a text."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dus.cli import InputError, options
from dus.cli.output import answer, as_json
from dus.cli.prompts import read_prompts

Text = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        show_default=False,
        help="The text, in which [MASK] stands for a token; or - for standard input, or a text file.",
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
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    quantize: options.Quantize = None,
    compile: options.Compile = False,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    mask_token_id: options.MaskTokenId = None,
    json: options.Json = False,
) -> None:
    """Fill in every [MASK] of a text, and print the whole text.

    Figures go to standard error; with --json there is one document.
    """
    prompts = read_prompts(text)
    if prompts[0].line is not None:
        raise InputError(f"infill takes one text, and {text} holds one a line: a text file holds one")
    given = str(prompts[0].content)
    decoding = {"planner": planner, **options.decoding(context)}
    from dus.cli.loading import load_asked
    from dus.decoding import Settings
    from dus.decoding import infill as fill

    Settings(**decoding)
    denoiser = load_asked(context)
    began = time.perf_counter()
    generation = fill(denoiser, given, **decoding)
    seconds = time.perf_counter() - began
    if json:
        typer.echo(as_json({"prompt": given, **answer(generation, 0), "seed": generation.seed, "seconds": seconds}))
        return
    typer.echo((generation.text or [""])[0])
    typer.echo(f"NFE {generation.nfe[0]}   TPF {generation.tpf[0]:.2f}   {seconds:.2f} s", err=True)
