"""The denoiser of a command that measures, and the texts that it is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from dus.cli import InputError, options
from dus.cli.output import check_writable, quoted, replacing
from dus.writing.tables import headed

if TYPE_CHECKING:
    from dus.denoisers import Denoiser
    from dus.lab.theory import Source
    from dus.lab.theory.texts import Texts

KNOWN_OF_SOURCE, KNOWN_OF_FILE = 8, 32
"""Known tokens before a block, on sources and in plain text files, where nothing else says how many."""

TEXTS: options.Group = {
    "task": options.option(
        str,
        "arithmetic",
        "The texts: solutions of a task's problems; or a file, a .jsonl one with a text or a question and an answer in "
        "each line, any other as one long text.",
    ),
    "level": options.option(int, 3, "Difficulty of the task's problems."),
    "texts": options.option(int, 64, "How many texts are measured.", min=4, max=2000),
    "kind": options.option(
        str | None, None, "A source whose conditionals are known, instead of a model: first order, hidden chain, …"
    ),
    "rate": options.option(float, 0.9, "The mixing rate of that source, between 0 and 1."),
    "seed": options.option(int, 0, "Seed of all draws; with --kind also which source it is.", min=0),
}
"""On which texts a model is measured, or which source is in the place of both: what `measured` reads."""


class Measured(NamedTuple):
    """What is measured, on what; the source where there is one, and what both are called."""

    model: Denoiser
    texts: Texts
    source: Source | None
    name: str


def measured(context: typer.Context, *, length: int, known: int | None = None) -> Measured:
    """Load the model and the texts that a command's options name, or take a source and draw them.

    Args:
        context: The context of a command with the options of loading, and task, level, texts, kind, rate and seed.
        length: Tokens that a block needs.
        known: Tokens before it, where a text has no natural beginning; None takes a few.

    Raises:
        InputError: A model and a source, a source that does not exist, or neither a task nor a file of that name.
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
    from dus.lab.theory.randoms import FAR, KINDS
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


def check_targets(*paths: Path | None, pictures: bool = False) -> None:
    """Refuse to begin where what is found could not be written in the end.

    Args:
        *paths: The files that will be written; None where nothing is.
        pictures: Whether pictures go beside the last of them.

    Raises:
        InputError: A path is a folder, or lies in none.
    """
    for path in paths:
        if path is not None:
            check_writable(path)
    if pictures and paths[-1] is not None:
        from dus.writing.style import require_matplotlib

        require_matplotlib()


def typed(context: typer.Context) -> str:
    """The command as it was typed, arguments and options with their values, for pages that name what made them."""
    parts = [context.command_path]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            name, value = max(parameter.opts, key=len), context.params[parameter.name or ""]
            named = [] if parameter.param_type_name == "argument" else [name]
            for each in value if isinstance(value, list) else [value]:
                parts += named if each is True else [*named, quoted(str(each))]
    return " ".join(parts)


def tell(context: typer.Context, title: str, body: str, whole: str | None = None) -> None:
    """Print what was found, and write it, with the command that made it, to the Markdown file of `--page`.

    Args:
        context: The context of a command with that option.
        title: The title of the page.
        body: What is printed.
        whole: What the page says, where it says more.
    """
    typer.echo(body)
    if context.params["page"] is not None:
        with replacing(context.params["page"]) as file:
            file.write(headed(title, typed(context), whole or body))
