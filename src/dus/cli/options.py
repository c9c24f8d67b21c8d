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

MODEL: Group = {
    "model": (
        Annotated[
            str | None,
            typer.Option(
                help="The model: folder of a checkpoint, id on the Hugging Face hub, or bundled-dream.",
                show_default="bundled",
            ),
        ],
        None,
    ),
    "dtype": (Annotated[str, typer.Option(help="Type of the weights: auto, bfloat16, float16 or float32.")], "auto"),
    "device": (Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, cuda:1, …")], "auto"),
    "revision": (Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the hub.")], None),
    "trust_remote_code": (
        Annotated[bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with a checkpoint.")],
        False,
    ),
    "mask_token_id": (
        Annotated[
            int | None,
            typer.Option(help="Id of the mask token, where a checkpoint does not name it.", show_default=False),
        ],
        None,
    ),
}
"""Which model, and where: what `load_asked` reads."""

FORM: Group = {
    "quantize": (
        Annotated[str | None, typer.Option(help="int8 keeps the weights in 8 bits.", show_default=False)],
        None,
    ),
    "compile": (
        Annotated[bool, typer.Option("--compile", help="Have torch compile the model at its first calls.")],
        False,
    ),
}
"""In what form the model is loaded: what `load_asked` reads besides."""

DECODING: Group = {
    "planner": (
        Annotated[str, typer.Option(help="Which positions are written when; `dus planners` lists the planners.")],
        "dus",
    ),
    "max_new_tokens": (Annotated[int, typer.Option(help="How many masks are put behind the prompt.")], 256),
    "block_length": (
        Annotated[
            Any,
            typer.Option(
                parser=lambda given: int(given) if str(given).isdigit() else given,  # the default comes through it too
                metavar="N|auto",
                help="How many neighbouring positions are decoded together; auto, or auto(bits=8), chooses for each "
                "block.",
            ),
        ],
        32,
    ),
    "temperature": (Annotated[float, typer.Option(help="Of the draws of tokens; 0 takes the likeliest token.")], 0.0),
    "top_p": (
        Annotated[
            float | None, typer.Option(help="Draw only from the likeliest tokens that make up this probability.")
        ],
        None,
    ),
    "top_k": (Annotated[int | None, typer.Option(help="Draw only from this many of the likeliest tokens.")], None),
    "seed": (Annotated[int | None, typer.Option(help="Seed of the draws of tokens.", show_default="drawn")], None),
    "cfg_scale": (
        Annotated[
            float, typer.Option(help="Scale of classifier-free guidance; above 0 a step makes two denoiser calls.")
        ],
        0.0,
    ),
    "cache": (
        Annotated[
            str,
            typer.Option(help="How much is computed again at each step: none (everything is), prefix, dual, block, …"),
        ],
        "none",
    ),
    "stop": (
        Annotated[
            list[str] | None,
            typer.Option(
                metavar="TEXT",
                parser=unescaped,
                help=r"End the answer before this string, in which \n is a line break; may be repeated.",
                show_default=False,
            ),
        ],
        None,
    ),
    "suppress_tokens": (
        Annotated[
            Any,
            typer.Option(parser=token_ids, metavar="ID,…", help="Tokens that are never written.", show_default=False),
        ],
        None,
    ),
    "defer_tokens": (
        Annotated[
            Any,
            typer.Option(
                parser=token_ids,
                metavar="ID,…",
                help="Tokens that count as wholly uncertain: planners that go by confidence write them last.",
                show_default=False,
            ),
        ],
        None,
    ),
    "eos": (
        Annotated[str, typer.Option(help="At the end token: stop, or ignore it and write the full length.")],
        "stop",
    ),
    "chat": (
        Annotated[
            bool | None,
            typer.Option(
                "--chat/--no-chat",
                help="Put the prompt in the model's chat template.",
                show_default="where the model has one",
            ),
        ],
        None,
    ),
}
"""How answers are decoded: what `decoding` reads, and whether prompts go into the chat template."""

CLUSTER: Group = {
    "engine": (
        Annotated[str, typer.Option(help="local, or ray: a cluster, on this machine unless RAY_ADDRESS is set.")],
        "local",
    ),
    "workers": (
        Annotated[
            int | None,
            typer.Option(help="How many workers the ray engine has.", min=1, show_default="all there is room for"),
        ],
        None,
    ),
    "num_gpus": (
        Annotated[float | None, typer.Option(help="GPUs of each worker.", min=0, show_default="1 where there are any")],
        None,
    ),
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
        own = {name: each for name, each in signature.parameters.items() if _is_own(each, shared)}
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


def _is_own(parameter: inspect.Parameter, shared: Group) -> bool:
    return parameter.name not in shared or get_origin(parameter.annotation) is Annotated


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
