"""Answers on disk: a file of JSON lines for each finished shard, and for one under way what is there of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from dus.serving.source import BatchError
from dus.writing.files import replacing, write

RECORD = "run.json"


class Shards:
    """The folder of a run. A run that was killed goes on where it was.

    Rows come in any order. Each is appended to a file of its shard as soon as it is there; when a shard is whole, its
    rows are written in order under their final name, at once. What was cut off in the middle of a line is done again.

    Args:
        folder: The folder, which is made when the first thing is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: dict[int, TextIO] = {}
        self.lines: dict[int, dict[int, str]] = {}

    def begin(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Note what answers what, and how; a run that goes on has to be the same one.

        Args:
            record: Anything that JSON holds. A seed of None is that of the run before, or drawn by the caller.

        Returns:
            The record that counts.

        Raises:
            BatchError: The folder is another run's, or nobody knows whose.
        """
        path = self.folder / RECORD
        wanted: dict[str, Any] = json.loads(json.dumps(record))
        if path.exists():
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
                differing = [key for key in sorted({*before, *wanted}) if before.get(key) != wanted.get(key)]
            except (ValueError, TypeError, AttributeError) as error:
                raise BatchError(f"{path} is damaged ({error}): name another folder") from None
            if differing:
                key = differing[0]
                raise BatchError(
                    f"{self.folder} holds another run's answers ({key} is {before.get(key)!r} there, and "
                    f"{wanted.get(key)!r} now): name another folder, or delete it"
                )
            return before
        if self.folder.is_dir() and any(self.folder.glob("part-*")):
            raise BatchError(f"{self.folder} holds answers, and no {RECORD}: name another folder")
        write(path, json.dumps(wanted, indent=1, ensure_ascii=False))
        return wanted

    def seed(self) -> int | None:
        """The seed of the run that is in the folder; None where there is none."""
        try:
            found = json.loads((self.folder / RECORD).read_text(encoding="utf-8")).get("seed")
        except (OSError, ValueError, AttributeError):
            return None
        return found if isinstance(found, int) else None

    def whole(self, number: int) -> bool:
        """Whether a shard is done."""
        return self.part(number).exists()

    def kept(self, number: int) -> set[int]:
        """The rows of a shard under way that are there, by their indices in the whole input."""
        return set(self._of(number))

    def add(self, number: int, count: int, index: int, record: Mapping[str, Any]) -> None:
        """Keep the answer to a row, the first one; when its shard's `count` rows are there, the shard is done."""
        held = self._of(number)
        if index in held or self.whole(number):
            return
        line = json.dumps(record, ensure_ascii=False)
        if number not in self.open:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.open[number] = self._journal(number).open("a", encoding="utf-8", newline="\n")
        self.open[number].write(f"{index}\t{line}\n")
        self.open[number].flush()
        held[index] = line
        if len(held) == count:
            self._finish(number)

    def part(self, number: int) -> Path:
        """The file of a whole shard."""
        return self.folder / f"part-{number:05}.jsonl"

    def close(self) -> None:
        """Close the files of the shards under way."""
        for file in self.open.values():
            file.close()
        self.open.clear()
        self.lines.clear()

    def _journal(self, number: int) -> Path:
        return self.folder / f"part-{number:05}.partial"

    def _of(self, number: int) -> dict[int, str]:
        """The lines of a shard under way; the end of the file that is no whole line is cut off."""
        if number not in self.lines:
            found, sound, path = {}, 0, self._journal(number)
            data = path.read_bytes() if path.exists() else b""
            for line in data.splitlines(keepends=True):
                row = _row(line)
                if row is None:
                    break
                found[row[0]] = row[1]
                sound += len(line)
            if sound < len(data):
                with path.open("r+b") as file:
                    file.truncate(sound)
            self.lines[number] = found
        return self.lines[number]

    def _finish(self, number: int) -> None:
        lines = self.lines.pop(number)
        with replacing(self.part(number)) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{lines[index]}\n" for index in sorted(lines))
        self.open.pop(number).close()
        self._journal(number).unlink()


def _row(line: bytes) -> tuple[int, str] | None:
    """The index and the record in a line of a journal; None where it is no whole one."""
    index, tab, record = line.partition(b"\t")
    try:
        json.loads(record)
        return (int(index), record.decode().removesuffix("\n")) if tab and line.endswith(b"\n") else None
    except ValueError:
        return None


def lines_of(store: Shards, count: int) -> Iterator[str]:
    """The lines of all shards of a finished run, in order."""
    for number in range(count):
        with store.part(number).open(encoding="utf-8", newline="\n") as file:
            yield from file
