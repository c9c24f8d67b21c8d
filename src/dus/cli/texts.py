"""The denoiser of a command that measures, and the texts that it is measured on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dus.cli import InputError
from dus.cli.output import replacing

if TYPE_CHECKING:
    from dus.denoisers import Denoiser
    from dus.lab.theory import Source
    from dus.lab.theory.texts import Texts

KNOWN_OF_SOURCE, KNOWN_OF_FILE = 8, 32
"""Known tokens before a block, on sources and in plain text files, where nothing else says how many."""

Task = Annotated[
    str,
    typer.Option(
        help="The texts: solutions of a task's problems; or a file, a .jsonl one with a text or a question and an "
        "answer in each line, any other as one long text."
    ),
]
Level = Annotated[int, typer.Option(help="Difficulty of the task.")]
Count = Annotated[int, typer.Option("--texts", min=4, max=2000, help="How many texts.")]
Kind = Annotated[
    str | None,
    typer.Option(help="A source whose conditionals are known, instead of a model: first order, hidden chain, …"),
]
Rate = Annotated[float, typer.Option(help="The mixing rate of that source, between 0 and 1.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all draws, and which source it is.")]


class Measured(NamedTuple):
    """What is measured, on what; the source where there is one, and what both are called."""

    model: Denoiser
    texts: Texts
    source: Source | None
    name: str


def measured(context: typer.Context, *, length: int, known: int | None = None) -> Measured:
    """Load the model and the texts that a command's options name, or take a source and draw them.

    Args:
        context: of a command with the options of loading, and task, level, texts, kind, rate and seed.
        length: tokens that a block needs.
        known: tokens before it, where a text has no natural beginning; None takes a few.

    Raises:
        InputError: a model and a source, a source that does not exist, or neither a task nor a file of that name.
    """
    asked = context.params
    if asked["kind"] is not None:
        return _of_source(asked, KNOWN_OF_SOURCE if known is None else known, length)
    from dus.cli.loading import load_asked
    from dus.evaluation.tasks import TASKS
    from dus.lab.theory.texts import from_file, from_task

    model, task, count = asked["model"], asked["task"], asked["texts"]
    if task not in TASKS and not Path(task).is_file():
        raise InputError(f"{task!r} is neither a task ({', '.join(TASKS)}) nor a file")
    loaded = load_asked(context)
    if task in TASKS:
        texts = from_task(loaded, TASKS[task], asked["level"], count)
    else:
        texts = from_file(loaded, Path(task), count, length + (KNOWN_OF_FILE if known is None else known))
    return Measured(loaded, texts, None, f"`{model or 'bundled'}` on {texts.name}")


def _of_source(asked: dict[str, Any], known: int, length: int) -> Measured:
    from dus.lab.theory import MarkovDenoiser
    from dus.lab.theory.kinds import FAR, KINDS
    from dus.lab.theory.texts import from_source

    kind, rate, seed = asked["kind"], asked["rate"], asked["seed"]
    if asked["model"] is not None:
        raise InputError("--model and --kind exclude each other: a source is its own denoiser")
    kinds = {**KINDS, **FAR}
    if kind not in kinds:
        raise InputError(f"no source is called {kind!r}; known are {'; '.join(kinds)}")
    source = kinds[kind].source(rate, seed)
    texts = from_source(source, asked["texts"], known + length, known=known, seed=seed)
    return Measured(MarkovDenoiser(source), texts, source, f"{kind}, ρ = {rate:g}")


def numbers(option: str, text: str, least: int) -> list[int]:
    """The whole numbers of an option, separated by commas, each once, in rising order.

    Raises:
        InputError: something else, or a number that is too small.
    """
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"{option} takes whole numbers separated by commas, not {text!r}") from None
    if found[0] < least:
        raise InputError(f"{option} starts at {least}, not at {found[0]}")
    return found


def check_targets(*paths: Path | None) -> None:
    """Refuse to begin where what is found could not be written in the end.

    Raises:
        InputError: a path is a folder, or lies in none.
    """
    for path in paths:
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            reason = "it is a folder" if path.is_dir() else "there is no folder"
            raise InputError(f"{path} cannot be written: {reason}")


def typed(context: typer.Context) -> str:
    """The command as it was typed, arguments and options with their values, for pages that name what made them."""
    parts = [context.command_path]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            name, value = max(parameter.opts, key=len), context.params[parameter.name or ""]
            named = [] if parameter.param_type_name == "argument" else [name]
            for each in value if isinstance(value, list) else [value]:
                parts += named if each is True else [*named, shlex.quote(str(each))]
    return " ".join(parts)


def written_page(page: Path, title: str, command: str, body: str) -> None:
    """Write a Markdown page under the command that made it."""
    with replacing(page) as file:
        file.write(f"# {title}\n\nMade by\n\n    {command}\n\n{body.strip()}\n")
