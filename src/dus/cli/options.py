"""Options that several commands share, each declared once, and the groups in which commands take them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from dus.cli import InputError

Group = dict[str, tuple[Any, Any]]
"""Options by the names of their parameters: the annotation, and the default."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def token_ids(text: str) -> list[int]:
    """The ids in a text, separated by commas or semicolons.

    Raises:
        BadParameter: Something in it is no whole number.
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
BlockLength = Annotated[int, typer.Option(help="How many neighbouring positions are decoded together.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Page = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write what is printed to this Markdown file, pictures beside it.")
]


def option(kind: Any, default: Any, help: str, *names: str, **more: Any) -> tuple[Any, Any]:
    """An option of a group: its type, its default, its help, its names if need be, and what else Typer takes."""
    return Annotated[kind, typer.Option(*names, help=help, **more)], default


MODEL: Group = {
    "model": option(
        str | None,
        None,
        "The model: folder of a checkpoint, id on the Hugging Face hub, or bundled-dream.",
        show_default="bundled",
    ),
    "dtype": option(str, "auto", "Type of the weights: auto, bfloat16, float16 or float32."),
    "device": option(str, "auto", "Where the model runs: auto, cpu, cuda, cuda:1, …"),
    "revision": option(str | None, None, "Branch, tag or commit of a model on the hub."),
    "trust_remote_code": option(
        bool, False, "Run the Python code that comes with a checkpoint.", "--trust-remote-code"
    ),
    "mask_token_id": option(
        int | None, None, "Id of the mask token, where a checkpoint does not name it.", show_default=False
    ),
}
"""Which model, and where: what `load_asked` reads."""

FORM: Group = {
    "quantize": option(str | None, None, "int8 keeps the weights in 8 bits.", show_default=False),
    "compile": option(bool, False, "Have torch compile the model at its first calls.", "--compile"),
}
"""In what form the model is loaded: what `load_asked` reads besides."""

DECODING: Group = {
    "planner": option(str, "dus", "Which positions are written when; `dus planners` lists the planners."),
    "max_new_tokens": option(int, 256, "How many masks are put behind the prompt."),
    "block_length": option(
        Any,
        None,
        "How many neighbouring positions are decoded together; auto, or auto(bits=8), chooses for each block.",
        show_default="the model's own, or 32",
        parser=lambda given: int(given) if str(given).isdigit() else given,  # the default comes through it too
        metavar="N|auto",
    ),
    "temperature": option(float, 0.0, "Temperature of the draws of tokens; 0 takes the likeliest token."),
    "top_p": option(float | None, None, "Draw only from the likeliest tokens that make up this probability."),
    "top_k": option(int | None, None, "Draw only from this many of the likeliest tokens."),
    "seed": option(int | None, None, "Seed of the draws of tokens.", show_default="drawn"),
    "cfg_scale": option(float, 0.0, "Scale of classifier-free guidance; above 0 a step makes two denoiser calls."),
    "cache": option(
        str, "auto", "How much is computed again at each step: none (all of it), prefix, dual, …; auto is exact."
    ),
    "stop": option(
        list[str] | None,
        None,
        r"End the answer before this string, in which \n is a line break; may be repeated.",
        metavar="TEXT",
        parser=unescaped,
        show_default=False,
    ),
    "suppress_tokens": option(
        Any, None, "Tokens that are never written.", parser=token_ids, metavar="ID,…", show_default=False
    ),
    "defer_tokens": option(
        Any,
        None,
        "Tokens that count as wholly uncertain: planners that go by confidence write them last.",
        parser=token_ids,
        metavar="ID,…",
        show_default=False,
    ),
    "eos": option(str, "stop", "At the end token: stop, or ignore it and write the full length."),
    "chat": option(
        bool | None,
        None,
        "Put the prompt in the model's chat template.",
        "--chat/--no-chat",
        show_default="where the model has one",
    ),
}
"""How answers are decoded: what `decoding` reads, and whether prompts go into the chat template."""

CLUSTER: Group = {
    "engine": option(str, "local", "local, or ray: a cluster, on this machine unless RAY_ADDRESS is set."),
    "workers": option(
        int | None, None, "How many workers the ray engine has.", min=1, show_default="all there is room for"
    ),
    "num_gpus": option(float | None, None, "GPUs of each worker.", min=0, show_default="1 where there are any"),
}
"""Where work that can be divided is done."""


def pick(group: Group, *names: str) -> Group:
    """Some options of a group, in the order of the names."""
    return {name: group[name] for name in names}


def without(group: Group, *names: str) -> Group:
    """A group but for some options."""
    return {name: option for name, option in group.items() if name not in names}


def takes(*groups: Group, **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of some groups, behind those that it declares itself.

    The command is called with those of them that it has a parameter for; the others it finds in `context.params`. A
    parameter that is itself declared with `Annotated` keeps its own declaration.

    Args:
        *groups: The groups of options that the command takes.
        **defaults: The command's own defaults, where they differ from the groups'.
    """
    shared = {name: option for group in groups for name, option in group.items()}

    def extended(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = {
            name: each
            for name, each in signature.parameters.items()
            if name not in shared or get_origin(each.annotation) is Annotated
        }
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name, default), annotation=kind
            )
            for name, (kind, default) in shared.items()
            if name not in own
        ]

        def call(**given: Any) -> None:
            command(**{name: given[name] for name in signature.parameters})

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        call.__signature__ = signature.replace(parameters=[*own.values(), *added])  # type: ignore[attr-defined]
        return call

    return extended


def decoding(context: typer.Context) -> dict[str, Any]:
    """What a command's options say of decoding, as `dus.generate` takes it; nothing here draws a trace's scores."""
    names = without(DECODING, "planner", "chat")
    return {name: context.params[name] for name in names if name in context.params} | {"scores": False}


def numbers(option: str, text: str, least: int | None = None) -> list[int]:
    """The whole numbers that an option has been given, separated by commas, each once, in rising order.

    Args:
        option: The name of the option, for the message.
        text: What was typed.
        least: The smallest number that is taken; None takes all.

    Raises:
        InputError: Something is no whole number, or one is too small.
    """
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"{option} takes whole numbers separated by commas, not {text!r}") from None
    if least is not None and found[0] < least:
        raise InputError(f"{option} starts at {least}, not at {found[0]}")
    return found


def check_engine(engine: str, **of_ray: Any) -> None:
    """Refuse an engine that there is not, and options of the ray engine beside another.

    Args:
        engine: What `--engine` was given.
        **of_ray: The options that only the ray engine takes; None where they were not given.

    Raises:
        InputError: Naming the options that go with the ray engine.
    """
    if engine != "ray" and (engine != "local" or any(value is not None for value in of_ray.values())):
        names = [f"--{name.replace('_', '-')}" for name in of_ray]
        raise InputError(f"--engine is local, or ray, which takes {', '.join(names)}")
