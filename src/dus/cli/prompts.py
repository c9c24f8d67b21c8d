"""From the PROMPT argument to prompts: a text, standard input, a text file, or a file of JSON lines."""

from __future__ import annotations

import json
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dus.cli import InputError
from dus.serving.source import BatchError, content_of

if TYPE_CHECKING:
    from torch import Tensor

    from dus.denoisers import MaskedLM


@dataclass(frozen=True)
class Prompt:
    """One prompt: a text or chat messages, and the line it stands in where it is one of many in a file."""

    content: str | list[dict[str, str]]
    line: int | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """How an error message begins."""
        return "" if self.line is None else f"{self.file}, line {self.line}: "


def read_prompts(argument: str) -> list[Prompt]:
    """The prompts that an argument names, at least one; those of a `.jsonl` file have a line.

    Raises:
        InputError: A file that is missing, is no text or holds no prompt, or an empty prompt.
    """
    if argument == "-":
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise InputError("standard input is closed: there is no prompt to read")
        return [_whole(_decoded(stream.read(), "standard input"), "standard input")]
    path = _file(argument)
    if path is None:
        return [_whole(argument, "the prompt")]
    text = _decoded(path.read_bytes(), argument)
    if path.suffix != ".jsonl":
        return [_whole(text, argument)]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{argument} holds no prompts: it is empty")
    return [_from_line(argument, number, line) for number, line in lines]


def to_rows(model: MaskedLM, prompts: list[Prompt], *, chat: bool | None, max_new_tokens: int) -> list[Tensor]:
    """The token row of each prompt, all known to fit the model before the first one is decoded.

    Raises:
        GenerationError: Naming the line; where prompts are too long, the line of the longest one.
    """
    from dus.decoding import GenerationError
    from dus.decoding.canvas import check_fit
    from dus.decoding.prompts import to_rows as tokenize

    rows: list[Tensor] = []
    for prompt in prompts:
        try:
            rows += tokenize(model, [prompt.content], chat=chat)  # type: ignore[arg-type]
        except GenerationError as error:
            raise GenerationError(f"{prompt.place}{error}") from None
    longest = max(range(len(rows)), key=lambda row: len(rows[row]))
    try:
        check_fit(len(rows[longest]), max_new_tokens, model.max_length)
    except GenerationError as error:
        raise GenerationError(f"{prompts[longest].place}{error}") from None
    return rows


def texts_of(model: MaskedLM, prompts: list[Prompt]) -> list[str]:
    """The texts to be filled in, each known to have a blank.

    Raises:
        InputError: Naming the line that holds chat messages.
        GenerationError: Naming the line of a text without a blank.
    """
    from dus.decoding import GenerationError
    from dus.decoding.blanks import to_blanks

    texts = []
    for prompt in prompts:
        if not isinstance(prompt.content, str):
            raise InputError(f"{prompt.place}chat messages have no blanks to fill in: a text does")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they come when it is filled in
                to_blanks(model, prompt.content)
        except GenerationError as error:
            raise GenerationError(f"{prompt.place}{error}") from None
        texts.append(prompt.content)
    return texts


def _file(argument: str) -> Path | None:
    """The file that an argument names; None where it is the prompt itself.

    Raises:
        InputError: It names a folder, or a file that does not exist.
    """
    path = Path(argument)
    if not argument.strip():
        return None
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):  # too long for a path, or with characters that no path has
        return None
    if is_file:
        return path
    if is_folder:
        raise InputError(f"{argument} is a folder: name a file in it, or give the prompt on standard input (-)")
    if re.fullmatch(r"\S+\.(jsonl|json|txt|md)", argument):
        raise InputError(f"there is no file {argument}")
    return None


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no UTF-8 text: byte {error.start} is {data[error.start]:#04x}") from None


def _whole(text: str, source: str) -> Prompt:
    """A prompt of a whole text, without the line break that ends a file."""
    text = re.sub(r"\r?\n\Z", "", text)
    if not text.strip():
        raise InputError(f"{source} is empty: a prompt needs at least one character")
    return Prompt(text)


def _from_line(file: str, number: int, line: str) -> Prompt:
    """The prompt in a line of JSON.

    Raises:
        InputError: Naming the line and what is wrong with it.
    """
    place = f"{file}, line {number}: "
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}no valid JSON: {error}") from None
    try:
        return Prompt(content_of(record), number, file)
    except BatchError as error:
        raise InputError(f"{place}{error}") from None
