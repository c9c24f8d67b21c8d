"""`dus serve`: a model behind OpenAI's interface, and a page to watch it on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError, options

if TYPE_CHECKING:
    from dus.denoisers import Denoiser
    from dus.serving.app import Server
    from dus.serving.metrics import Metrics
    from dus.serving.requests import Limits
    from dus.serving.service import Line


@options.takes(
    options.pick(options.DECODING, "cache"),
    options.pick(options.CLUSTER, "engine"),
    options.MODEL,
    options.FORM,
)
def serve(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="The model: folder of a checkpoint, id on the Hugging Face hub, or bundled-dream.",
            show_default="bundled",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8000,
    rows: Annotated[int, typer.Option(min=1, help="How many rows are decoded together.")] = 32,
    line: Annotated[int, typer.Option(min=0, help="How many rows may wait; more are refused (429).")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 300.0,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes that a request may have.")] = 1 << 20,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2, help="Tokens that prompt and answer may have together.", show_default="the model's context"
        ),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of an answer, where a conversation asks for no number.")
    ] = 256,
    planner: Annotated[str, typer.Option(help="The planner, where a request names none.")] = "dus",
    block_length: Annotated[Any, options.DECODING["block_length"][0].__metadata__[0]] = None,
    api_key: Annotated[
        str | None, typer.Option(help="A key that clients have to give.", envvar="DUS_API_KEY", show_default=False)
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a web page that may ask; may be repeated.", show_default=False),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="How many replicas the ray engine has.", show_default="1")
    ] = None,
    autoscaling: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=N,…",
            help="In place of --replicas: Ray Serve's settings, such as min_replicas=1,max_replicas=4.",
        ),
    ] = None,
    num_gpus: Annotated[
        float | None, typer.Option(help="GPUs of each replica.", min=0, show_default="1 where there are any")
    ] = None,
    *,
    engine: str,
) -> None:
    """Serve a model over HTTP, as OpenAI does.

    The routes are /v1/chat/completions and /v1/completions, and the page at / shows the model at work. When the process
    is told to end (SIGTERM, Ctrl-C), what runs is finished, and what waits is refused.
    """
    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        raise InputError(f"dus serve needs {missing[0]}: pip install 'dus-lm[serve]'")
    if api_key is not None and not (api_key and api_key.isascii() and api_key.isprintable()):
        raise InputError("--api-key has to be printable ASCII, and not empty")
    options.check_engine(engine, replicas=replicas, autoscaling=autoscaling, num_gpus=num_gpus)
    if replicas is not None and autoscaling is not None:
        raise InputError("--replicas and --autoscaling both say how many: leave one out")
    from dus.serving import keep_memory_low

    keep_memory_low()
    from dus.serving.http import Uvicorn, bound

    try:
        listener = bound(host, port)  # before the model is loaded, which takes longer
    except OSError as error:
        raise InputError(f"cannot listen on {host}, port {port}: {error.strerror}; --port 0 takes a free one") from None
    with listener, _served(context) as server:
        Uvicorn(server, listener, lambda address: typer.echo(f"{server.desk.name} at {address}")).serve_until_told()


@contextmanager
def _served(context: typer.Context) -> Iterator[Server]:
    """The server that a command's options ask for."""
    from dus.cli.loading import asked, load_asked, load_model

    given = context.params
    if given["engine"] == "local":
        yield server_of(context, load_asked(context))
        return
    from dus.serving.ray_serve import deployed

    load = partial(load_model, given["model"], **asked(context.params))
    scale = _numbers(given["autoscaling"])
    size = {"replicas": given["replicas"] or 1, "autoscaling": scale, "num_gpus": given["num_gpus"]}
    with deployed(load, limits_of(context), given["cache"], **size) as (model, line):
        yield server_of(context, model, line)


def _numbers(text: str | None) -> dict[str, float] | None:
    """Settings in a text such as `min_replicas=1,max_replicas=4`."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text is not None else ():
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value) if "." in value else int(value)
        except ValueError:
            raise InputError(
                f"--autoscaling takes names and numbers, as in min_replicas=1,max_replicas=4, not {text!r}"
            ) from None
    return found or None


def name_of(model: str | None) -> str:
    """What clients call a model: its hub id, or the name of its folder."""
    if model is None:
        return "bundled"
    return Path(model).resolve().name if os.path.isdir(model) else model


def limits_of(context: typer.Context) -> Limits:
    """What a server takes, by a command's options."""
    from dus.serving.requests import Limits

    given = context.params
    return Limits(
        rows=given["rows"],
        line=given["line"],
        seconds=given["timeout"],
        body=given["max_body"],
        length=given["max_length"],
        max_tokens=given["max_new_tokens"],
    )


def server_of(context: typer.Context, model: Denoiser, line: Callable[[Limits, Metrics], Line] | None = None) -> Server:
    """The server of a model, by a command's options; `line` as `Server` takes it."""
    from dus.serving.app import Server

    given = context.params
    return Server(
        model,
        name_of(given["model"]),
        limits_of(context),
        cache=given["cache"],
        key=given["api_key"],
        origins=tuple(given["allow_origin"] or ()),
        defaults={"planner": given["planner"], "block_length": given["block_length"]},
        line=line,
    )
