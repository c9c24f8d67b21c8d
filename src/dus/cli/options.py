"""Options that several commands share."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def token_ids(text: str) -> list[int]:
    """The ids in a text, separated by commas or semicolons.

    Raises:
        BadParameter: something in it is no whole number.
    """
    try:
        return [int(part) for part in re.split("[,;]", text)]
    except ValueError:
        raise typer.BadParameter(f"token ids are whole numbers separated by commas, not {text!r}") from None


def unescaped(text: str) -> str:
    """The text with line break, tab, return and backslash for `\\n`, `\\t`, `\\r` and two backslashes."""
    return re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], text)


Prompt = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        show_default=False,
        help="The prompt; or - for standard input, or a text file, which is one prompt.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Folder of a checkpoint, model id of the Hugging Face hub, or bundled-dream.", show_default="bundled"
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
Dtype = Annotated[str, typer.Option(help="auto, bfloat16, float16 or float32.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Quantize = Annotated[str | None, typer.Option(help="int8 keeps the weights in eight bits.", show_default=False)]
Compile = Annotated[bool, typer.Option("--compile", help="Have torch compile the model at its first calls.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the model code that comes with a checkpoint.")
]

MaskTokenId = Annotated[
    int | None, typer.Option(help="The mask token, where a checkpoint does not name it.", show_default=False)
]

MaxNewTokens = Annotated[int, typer.Option(help="Masks put behind the prompt.")]
BlockLength = Annotated[int, typer.Option(help="Neighbouring positions that are decoded together.")]
Blocks = Annotated[
    Any,
    typer.Option(
        parser=lambda given: int(given) if str(given).isdigit() else given,  # the default comes through it too
        metavar="N|auto",
        help="Neighbouring positions that are decoded together; auto, or auto(bits=8), chooses for each block.",
    ),
]
Temperature = Annotated[float, typer.Option(help="0 takes the likeliest token.")]
TopP = Annotated[float | None, typer.Option(help="Keep the likeliest tokens that make up this probability.")]
TopK = Annotated[int | None, typer.Option(help="Keep so many of the likeliest tokens.")]
Seed = Annotated[int | None, typer.Option(help="Of the draws of tokens.", show_default="drawn")]
CfgScale = Annotated[float, typer.Option(help="Classifier-free guidance; above 0 a step makes two denoiser calls.")]
Cache = Annotated[str, typer.Option(help="How much is recomputed at each step: none (that is, all), prefix, dual, …")]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        parser=unescaped,
        help=r"End the answer before this string, in which \n is a line break; may be repeated.",
        show_default=False,
    ),
]
SuppressTokens = Annotated[
    Any, typer.Option(parser=token_ids, metavar="ID,…", help="Tokens that are never written.", show_default=False)
]
DeferTokens = Annotated[
    Any,
    typer.Option(
        parser=token_ids,
        metavar="ID,…",
        help="Tokens that count as wholly uncertain: planners that go by confidence write them last.",
        show_default=False,
    ),
]
Eos = Annotated[str, typer.Option(help="At the end token: stop, or ignore it and write the full length.")]
Chat = Annotated[
    bool | None,
    typer.Option(
        "--chat/--no-chat",
        help="Put the prompt in the model's chat template.",
        show_default="where the model has one",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def decoding(context: typer.Context) -> dict[str, Any]:
    """What a command's options say of decoding, as `dus.generate` takes it; nothing here draws a trace's scores."""
    names = (
        "max_new_tokens",
        "block_length",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "cfg_scale",
        "cache",
        "stop",
        "suppress_tokens",
        "defer_tokens",
        "eos",
    )
    return {name: context.params[name] for name in names if name in context.params} | {"scores": False}
