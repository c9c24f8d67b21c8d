"""Readers of the formats that packages keep prose in: R's data, dictd's dictionaries, HTML."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

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
