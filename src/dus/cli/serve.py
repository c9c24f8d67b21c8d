"""`dus serve`: a model behind OpenAI's interface, and a page to watch it on."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError, options

if TYPE_CHECKING:
    from dus.denoisers import MaskedLM
    from dus.serving.app import Server

Rows = Annotated[int, typer.Option(min=1, help="Rows that are decoded together.")]
Line = Annotated[int, typer.Option(min=0, help="Rows that may wait; more are refused (429).")]


def serve(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="As --model of the other commands: a folder, a hub id or bundled-dream.",
            show_default="bundled",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    rows: Rows = 32,
    line: Line = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 300.0,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 1 << 20,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a row, prompt and answer.", show_default="the model's context")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a conversation that asks for no number.")] = 256,
    planner: Annotated[str, typer.Option(help="Where a request names none.")] = "dus",
    block_length: Annotated[Any, options.Blocks.__metadata__[0]] = None,
    cache: options.Cache = "auto",
    api_key: Annotated[
        str | None, typer.Option(help="Clients have to give it.", envvar="DUS_API_KEY", show_default=False)
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A web page's origin that may ask; may be repeated.", show_default=False)
    ] = None,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    quantize: options.Quantize = None,
    compile: options.Compile = False,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    mask_token_id: options.MaskTokenId = None,
) -> None:
    """Serve a model over HTTP: /v1/chat/completions, /v1/completions, and a page at / that shows it at work.

    What runs when the process is told to end (SIGTERM, Ctrl-C) is finished; what waits is refused.
    """
    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        raise InputError(f"dus serve needs {missing[0]}: pip install 'dus[serve]'")
    if api_key is not None and not (api_key and api_key.isascii() and api_key.isprintable()):
        raise InputError("--api-key has to be printable ASCII, and not empty")
    from dus.cli.loading import load_asked
    from dus.serving.http import Uvicorn, bound

    try:
        listener = bound(host, port)  # before the model is loaded, which takes longer
    except OSError as error:
        raise InputError(f"cannot listen on {host}, port {port}: {error.strerror}; --port 0 takes a free one") from None
    with listener:
        server = server_of(context, load_asked(context))
        Uvicorn(server, listener, lambda address: typer.echo(f"{server.desk.name} at {address}")).serve_until_told()


def name_of(model: str | None) -> str:
    """What clients call a model: its hub id, or the name of its folder."""
    if model is None:
        return "bundled"
    return Path(model).resolve().name if os.path.isdir(model) else model


def server_of(context: typer.Context, model: MaskedLM) -> Server:
    """The server that a command's options ask for."""
    from dus.serving.app import Server
    from dus.serving.requests import Limits

    given = context.params
    limits = Limits(
        rows=given["rows"],
        line=given["line"],
        seconds=given["timeout"],
        body=given["max_body"],
        length=given["max_length"],
        max_tokens=given["max_new_tokens"],
    )
    return Server(
        model,
        name_of(given["model"]),
        limits,
        cache=given["cache"],
        key=given["api_key"],
        origins=tuple(given["allow_origin"] or ()),
        defaults={"planner": given["planner"], "block_length": given["block_length"]},
    )
