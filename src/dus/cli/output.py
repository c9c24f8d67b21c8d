"""What several commands print or write: records of answers, and files that appear when they are whole."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from dus.cli import InputError
from dus.writing import files

if TYPE_CHECKING:
    from dus.cli.prompts import Prompt
    from dus.decoding import Generation


def as_json(record: Any) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def command_line() -> str:
    """The command of this process as it was typed, for pages and records that name what made them."""
    return " ".join(map(quoted, ["dus", *sys.argv[1:]]))


def quoted(word: str) -> str:
    """A word as a shell takes it, in double quotes where it holds single ones and nothing that a shell would expand."""
    if "'" in word and not set('"$`\\!') & set(word):
        return f'"{word}"'
    return shlex.quote(word)


def records(prompts: list[Prompt], generation: Generation, samples: int) -> Iterator[dict[str, Any]]:
    """For each prompt what came of it: its answers, and the settings that make them come again."""
    trace = generation.trace
    for number, prompt in enumerate(prompts):
        line = {} if prompt.line is None else {"line": prompt.line}
        rows = range(number * samples, (number + 1) * samples)
        answers = [answer(generation, row) for row in rows]
        settings = {"planner": trace.planner, "block_length": trace.block_length, "seed": generation.seed}
        yield {**line, "prompt": prompt.content, "answers": answers, **settings}


def answer(generation: Generation, row: int) -> dict[str, Any]:
    """One answer; `step` tells for each token the step that wrote it, from 0, and -1 where it was given."""
    tokens, step = generation.tokens[row].tolist(), generation.trace.step[row].tolist()
    before = max(len(tokens) - len(step), 0)  # what stands before the first blank of a text that was filled in
    return {
        "text": (generation.text or [])[row],
        "nfe": generation.nfe[row],
        "tpf": generation.tpf[row],
        "raw_tpf": generation.raw_tpf[row],
        "tokens": tokens,
        "step": [-1] * before + step[: len(tokens) - before],
    }


def print_texts(prompts: list[Prompt], generation: Generation, samples: int) -> None:
    """The answers, each under a line that tells which one it is where there are several."""
    texts = generation.text or []
    for row, text in enumerate(texts):
        prompt, sample = prompts[row // samples], row % samples
        names = [] if prompt.line is None else [f"line {prompt.line}"]
        names += [] if samples == 1 else [f"sample {sample + 1}"]
        if names:
            typer.echo(f"--- {', '.join(names)}")
        typer.echo(text)


def print_figures(count: int, nfe: int, tokens: float, seconds: float, out: Path | None) -> None:
    """What the answers took, on standard error."""
    answers = f"{count} answers   " if count > 1 else ""
    written = f"   {out}" if out else ""
    typer.echo(f"{answers}NFE {nfe}   TPF {tokens / max(nfe, 1):.2f}   {seconds:.2f} s{written}", err=True)


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written.

    Raises:
        InputError: The path is a folder, or lies in none.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: " + ("it is a folder" if path.is_dir() else "there is no folder"))


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file to write to, under a temporary name until all went well; on failure nothing is left behind.

    Raises:
        InputError: The path is a folder, or lies in none.
    """
    check_writable(path)
    with files.replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file
