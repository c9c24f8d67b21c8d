"""`dus infill`: the masks of a text, from a text, a file and standard input."""

import io
import json
import sys

import pytest

import dus as package

GIVEN = ["--dtype", "float32", "--planner", "confidence"]
TEXT = "ab[MASK][MASK]c\nd[MASK]"


@pytest.fixture(scope="module")
def expected(checkpoint):
    return package.infill(package.load(checkpoint, dtype="float32"), TEXT, planner="confidence")


def test_a_text_a_file_and_standard_input_are_filled_in(dus, good, checkpoint, expected, tmp_path, monkeypatch):
    code, out, err = dus("infill", TEXT, "--model", checkpoint, *GIVEN)
    assert (code, out) == (0, f"{expected.text[0]}\n")
    assert err.startswith("NFE 3   TPF 1.00")
    file = tmp_path / "text.py"
    file.write_text(f"{TEXT}\n")
    assert good("infill", file, "--model", checkpoint, *GIVEN) == out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert good("infill", "-", "--model", checkpoint, *GIVEN) == out


def test_json_has_the_whole_text(good, checkpoint, expected):
    found = json.loads(good("infill", TEXT, "--model", checkpoint, *GIVEN, "--json", "--seed", "3"))
    assert (found["prompt"], found["text"], found["seed"]) == (TEXT, expected.text[0], 3)
    assert found["nfe"] == 3


def test_what_cannot_be_filled_in(dus, checkpoint, tmp_path):
    lines = tmp_path / "texts.jsonl"
    lines.write_text('{"text": "a[MASK]"}\n')
    for text, problem in (("nothing", "nothing to fill in"), (lines, "infill takes one text"), ("", "is empty")):
        code, _, err = dus("infill", text, "--model", checkpoint, *GIVEN)
        assert (code, err.count("\n")) == (2, 1)
        assert problem in err
