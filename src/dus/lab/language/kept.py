"""What a long measurement has found so far, in a file of JSON lines that it goes on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class KeptError(ValueError):
    """The file belongs to a measurement that was asked for otherwise."""


def each(
    count: int, measure: Callable[[int], Mapping[str, Any]], kept: Path | None, asked: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """What `measure` says of each number from 0, as JSON gives it back; what `kept` holds is not measured again.

    Args:
        count: How many numbers.
        measure: Says a dictionary that JSON can hold; it depends on the number and on `asked` only.
        kept: The file, appended to; None keeps nothing.
        asked: What the measurement depends on; it stands in the file's first line.

    Raises:
        KeptError: The file's first line is another one.
    """
    found: dict[int, Any] = {}
    first = json.dumps({"asked": dict(asked)})
    if kept is not None and kept.exists():
        head, *lines = kept.read_text(encoding="utf-8").splitlines()
        if head != first:
            raise KeptError(f"{kept} holds another measurement: {head}; this one is {first}")
        found = {entry["number"]: entry["found"] for entry in map(json.loads, lines)}
    elif kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(first + "\n", encoding="utf-8")
    for number in range(count):
        if number not in found:
            line = json.dumps({"number": number, "found": measure(number)})
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            found[number] = json.loads(line)["found"]
        yield found[number]
