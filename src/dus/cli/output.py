"""What several commands print or write: records of answers, and files that appear when they are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dus.cli import InputError
from dus.writing import files

if TYPE_CHECKING:
    from dus.cli.prompts import Prompt
    from dus.decoding import Generation


def as_json(record: Any) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False)


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
    """One answer; `step` tells for each token the step that wrote it, from 0."""
    tokens = generation.tokens[row].tolist()
    return {
        "text": (generation.text or [])[row],
        "nfe": generation.nfe[row],
        "tpf": generation.tpf[row],
        "raw_tpf": generation.raw_tpf[row],
        "tokens": tokens,
        "step": generation.trace.step[row][: len(tokens)].tolist(),
    }


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written.

    Raises:
        InputError: the path is a folder, or lies in none.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: " + ("it is a folder" if path.is_dir() else "there is no folder"))


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file to write to, under a temporary name until all went well; on failure nothing is left behind.

    Raises:
        InputError: the path is a folder, or lies in none.
    """
    check_writable(path)
    with files.replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file
