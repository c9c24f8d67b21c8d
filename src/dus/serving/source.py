"""Prompts in files: JSON lines and Parquet, one or many, read a shard at a time."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

Content: TypeAlias = "str | list[dict[str, str]]"
"""A prompt: a text, or chat messages."""

FIELDS = ("question", "prompt", "text")
_ENDINGS = (".jsonl", ".parquet")


class BatchError(ValueError):
    """Prompts that cannot be read, or a folder of answers that cannot be written; the message says why."""


@dataclass(frozen=True)
class Asked:
    """One prompt of many.

    Attributes:
        index: The place of the prompt in the whole input, from 0; draws count from there.
        place: What names it in the output, such as its `id`.
        content: The prompt; None where it cannot be read.
        problem: Why it cannot.
    """

    index: int
    place: dict[str, Any]
    content: Content | None
    problem: str = ""


@dataclass(frozen=True)
class Piece:
    """Neighbouring rows of a file: so many from row `first`, which begins at byte `offset` of a file of JSON lines."""

    file: str
    first: int
    count: int
    offset: int = 0


@dataclass(frozen=True)
class Shard:
    """Neighbouring rows of the input, which may lie in several files.

    Attributes:
        number: The number of the shard, from 0.
        first: The place of its first row in the whole input.
        pieces: Where the rows of the shard are.
    """

    number: int
    first: int
    pieces: tuple[Piece, ...]

    @property
    def count(self) -> int:
        """How many rows it has."""
        return sum(piece.count for piece in self.pieces)

    def read(self) -> list[Asked]:
        """Its prompts; one that cannot be read has a problem in place of its content.

        Raises:
            OSError: A file is not there any more.
        """
        records = (record for piece in self.pieces for record in _records(piece))
        return [_asked(self.first + at, record) for at, record in enumerate(records)]


def files_of(names: Iterable[str]) -> list[Path]:
    """The files that names mean, in their order: files as they are, the content of folders and globs by name.

    Raises:
        BatchError: A name means nothing, or a file that is neither JSON lines nor Parquet.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        inside = sorted(path.iterdir()) if path.is_dir() else [Path(each) for each in sorted(glob.glob(name))]
        known = [each for each in inside if each.suffix in _ENDINGS and each.is_file()]
        if path.is_file():
            known = [path]
        if not known or (path.is_file() and path.suffix not in _ENDINGS):
            raise BatchError(f"{name}: prompts are in .jsonl or .parquet files, or a folder or a glob of them")
        found += known
    return found


def scan(files: Iterable[Path], size: int) -> tuple[list[Shard], str]:
    """The shards of some files, and 16 hexadecimal digits for all that they hold.

    Args:
        files: JSON lines or Parquet.
        size: Rows of a shard; the last one may have fewer.

    Raises:
        BatchError: There is no prompt, or a file is no Parquet.
    """
    digest, pieces, total = hashlib.sha256(), [], 0
    for path in files:
        for first, count, offset in _runs(path, digest, size, total):
            pieces.append(Piece(str(path), first, count, offset))
            total += count
    shards: dict[int, list[Piece]] = {}
    at = 0
    for piece in pieces:
        shards.setdefault(at // size, []).append(piece)
        at += piece.count
    if not total:
        raise BatchError(f"{', '.join(map(str, files))}: there are no prompts")
    return [Shard(number, number * size, tuple(held)) for number, held in shards.items()], digest.hexdigest()[:16]


def content_of(record: Any) -> Content:
    """The prompt in a record.

    Raises:
        BatchError: Saying what is wrong with it.
    """
    if not isinstance(record, dict):
        raise BatchError(f"an object with {_EITHER} is needed, not {str(record)[:40]}")
    if record.get("messages") is not None:
        messages = record["messages"]
        if not (isinstance(messages, list) and messages and all(map(_is_message, messages))):
            raise BatchError("messages are a list of objects, each with a text in role and in content")
        return messages
    name = next((name for name in FIELDS if name in record), None)
    if name is None:
        raise BatchError(f"it has {', '.join(map(str, record)) or 'no fields'}, but none of {_EITHER}")
    value = record[name]
    if not isinstance(value, str) or not value.strip():
        raise BatchError(f"{name} has to be a text that is not empty")
    return value


_EITHER = f"{', '.join(FIELDS)} or messages"


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("role", "content"))


def _asked(index: int, record: Any) -> Asked:
    """A record, or the exception that reading it raised."""
    if isinstance(record, Exception):
        return Asked(index, {"id": index}, None, f"no valid JSON: {record}")
    given = record.get("id") if isinstance(record, dict) else None
    place = {"id": given if isinstance(given, str | int) and not isinstance(given, bool) else index}
    try:
        return Asked(index, place, content_of(record))
    except BatchError as error:
        return Asked(index, place, None, str(error))


def _runs(path: Path, digest: Any, size: int, total: int) -> Iterator[tuple[int, int, int]]:
    """The rows of a file in runs that no shard's end divides: first row, rows, and byte of the first."""
    digest.update(path.name.encode())
    if path.suffix == ".parquet":
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
        rows = _parquet(path).metadata.num_rows
        first = 0
        while first < rows:
            count = min(rows - first, size - (total + first) % size)
            yield first, count, 0
            first += count
        return
    first = count = start = offset = 0
    with path.open("rb") as file:
        for line in file:
            digest.update(line)
            if line.strip():
                start = offset if count == 0 else start
                count += 1
            offset += len(line)
            if count and (total + first + count) % size == 0:
                yield first, count, start
                first, count = first + count, 0
    if count:
        yield first, count, start


def _records(piece: Piece) -> Iterator[Any]:
    """The rows of a piece; in place of a line that cannot be read the exception."""
    if piece.file.endswith(".parquet"):
        yield from _parquet_rows(piece)
        return
    with open(piece.file, "rb") as file:
        file.seek(piece.offset)
        left = piece.count
        while left:
            line = file.readline()
            if not line:
                raise BatchError(f"{piece.file} is shorter than it was: begin anew in another folder")
            if line.strip():
                left -= 1
                try:
                    yield json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError) as error:
                    yield error


def _parquet_rows(piece: Piece) -> Iterator[Any]:
    source, at = _parquet(Path(piece.file)), 0
    for group in range(source.num_row_groups):
        rows = source.metadata.row_group(group).num_rows
        low, high = max(piece.first - at, 0), min(piece.first + piece.count - at, rows)
        if low < high:
            names = [name for name in ("id", "messages", *FIELDS) if name in source.schema_arrow.names]
            yield from _group(piece.file, group, tuple(names)).slice(low, high - low).to_pylist()
        at += rows


@lru_cache(maxsize=1)
def _group(file: str, group: int, names: tuple[str, ...]) -> Any:
    """A row group, which may hold many shards."""
    return _parquet(Path(file)).read_row_group(group, columns=list(names))


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BatchError("Parquet files need pyarrow: pip install pyarrow") from None
    try:
        return ParquetFile(path)
    except ArrowInvalid as error:
        raise BatchError(f"{path} is not a Parquet file: {error}") from None
