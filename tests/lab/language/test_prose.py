"""Readers of packages' formats, on files written as the packages write them, and the folder of texts."""

import gzip
import json
import struct
import zlib

import pytest

from dus.lab.language import prose
from dus.lab.language.kept import KeptError, each


def r_object(lines, version):
    """A character vector in R's XDR serialization (R Internals, 1.8), in a chunk of an `.rdb` file."""
    encoding = struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
    data = b"X\n" + struct.pack(">iii", version, 0x030600, 0x020300) + encoding + struct.pack(">ii", 16, len(lines))
    for line in lines:
        text = b"" if line is None else line.encode()
        data += struct.pack(">ii", 0x00040009, -1 if line is None else len(text)) + text
    return struct.pack(">i", len(data)) + zlib.compress(data)


@pytest.mark.parametrize("version", [2, 3])
def test_lines_of_r_objects_become_paragraphs(tmp_path, version):
    file = tmp_path / "Rdata.rdb"
    novels = [["It was a", "long day.", "", "“And then?”", None], ["Another", "", "book."]]
    number = b"X\n" + struct.pack(">iii", 2, 0, 0) + struct.pack(">ii", 13, 1) + struct.pack(">i", 7)
    chunk = struct.pack(">i", len(number)) + zlib.compress(number)
    file.write_bytes(r_object(novels[0], version) + chunk + r_object(novels[1], version))
    assert list(prose.r_strings(file)) == ["It was a long day.\n“And then?”", "Another\nbook."]


def test_a_dictionary_loses_its_notices_and_marks(tmp_path):
    file = tmp_path / "a.dict.dz"
    file.write_bytes(gzip.compress(b"00-database-short\n   Words\n\nfoo\n   n. See\n   {bar}.\n"))
    assert list(prose.dictionary(file)) == ["Words\nfoo n. See bar."]


def test_sentences_are_taken_of_a_page_and_code_is_not(tmp_path):
    long = "This is a sentence of <code>some</code> length, so that it counts as prose &amp; stays."
    code = "x = {a: 1}; y = {b: 2}; this one is full of signs and so it is no prose at all, is it."
    page = f"<nav>Menu</nav><p>{long}<pre>while (1) stop the machine now and for ever after.</pre><p>{code}<p>Short."
    (tmp_path / "a.html").write_text(page)
    assert list(prose.paragraphs(tmp_path / "a.html")) == [
        "This is a sentence of some length, so that it counts as prose & stays."
    ]


def test_the_folder_names_licences_and_repeats_nothing(tmp_path):
    verse = {"book": "Genesis", "chapter": 1, "text": "In the beginning."}
    (tmp_path / "bible" / "data").mkdir(parents=True)
    (tmp_path / "bible" / "data" / "kjv.jsonl").write_text("\n".join(map(json.dumps, [verse, verse])))
    problems = [{"task_id": number, "text": "Add.", "code": "def f():\r\n\treturn 1"} for number in (600, 601, 602)]
    (tmp_path / "mbpp.jsonl").write_text("\n".join(map(json.dumps, problems)))
    wanted = [source for source in prose.SOURCES if source.name in ("bible", "mbpp")]
    rows = prose.write(tmp_path / "out", [tmp_path], wanted)
    assert (tmp_path / "out" / "bible.txt").read_text() == "In the beginning. In the beginning."
    assert (tmp_path / "out" / "mbpp.txt").read_text() == "Add.\ndef f():\n    return 1"
    assert [row["licence"] for row in rows] == ["public domain", "CC BY 4.0"]
    assert json.loads((tmp_path / "out" / "sources.json").read_text()) == rows
    with pytest.raises(FileNotFoundError, match="it is in Debian: r-cran-janeaustenr"):
        prose.write(tmp_path / "none", [tmp_path])


def test_what_is_kept_is_not_measured_again(tmp_path):
    asked, file = {"seed": 0, "spacings": (1, 2)}, tmp_path / "kept.jsonl"
    assert [found["n"] for found in each(2, lambda n: {"n": n}, file, asked)] == [0, 1]
    measured = []
    found = list(each(3, lambda n: measured.append(n) or {"n": 10 * n}, file, asked))
    assert measured == [2]
    assert [entry["n"] for entry in found] == [0, 1, 20]
    with pytest.raises(KeptError, match="another measurement"):
        list(each(1, lambda n: {}, file, {"seed": 1}))
