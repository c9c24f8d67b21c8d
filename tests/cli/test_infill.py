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
    found = json.loads(
        good("infill", TEXT, "--model", checkpoint, *GIVEN, "--json", "--temperature", "0", "--seed", "3")
    )
    (answer,) = found["answers"]
    assert (found["prompt"], answer["text"], found["seed"]) == (TEXT, expected.text[0], 3)
    assert answer["nfe"] == 3
    assert [at for at, step in enumerate(answer["step"]) if step < 0] == [0, 1, 4, 5, 6]
    assert len(answer["tokens"]) == len(answer["step"])


def test_texts_of_a_file_and_samples(good, checkpoint, tmp_path):
    texts = ["a[MASK]", "[MASK]bc[MASK]"]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    drawn = ["--temperature", "1", "--seed", "2", "--samples", "2", "--batch-size", "3"]
    lines = good("infill", file, "--model", checkpoint, *GIVEN, *drawn, "--json").splitlines()
    model = package.load(checkpoint, dtype="float32")
    expected = package.infill(model, texts, planner="confidence", temperature=1.0, seed=2, samples=2)
    found = [json.loads(line) for line in lines]
    assert [answer["text"] for line in found for answer in line["answers"]] == expected.text
    assert [line["line"] for line in found] == [1, 2]
    printed = good("infill", file, "--model", checkpoint, *GIVEN, *drawn)
    assert printed.count("--- line 2, sample 2") == 1


def test_end_tokens_fill_blanks_only_if_asked_to(good, checkpoint):
    text = "a" + "[MASK]" * 60
    few = ["--suppress-tokens", ",".join(map(str, range(2, 250)))]
    common = ["--model", checkpoint, *GIVEN, *few, "--temperature", "50", "--seed", "1"]
    assert "<|end|>" not in good("infill", text, *common)
    assert "<|end|>" in good("infill", text, *common, "--end-tokens")


def test_what_cannot_be_filled_in(dus, checkpoint, tmp_path):
    lines = tmp_path / "texts.jsonl"
    lines.write_text('{"text": "a[MASK]"}\n{"text": "a"}\n')
    chat = tmp_path / "chat.jsonl"
    chat.write_text('{"messages": [{"role": "user", "content": "[MASK]"}]}\n')
    for text, problem in (
        ("nothing", "nothing to fill in"),
        (lines, "texts.jsonl, line 2: there is nothing to fill in"),
        (chat, "chat.jsonl, line 1: chat messages have no blanks"),
        ("", "is empty"),
    ):
        code, _, err = dus("infill", text, "--model", checkpoint, *GIVEN)
        assert (code, err.count("\n")) == (2, 1)
        assert problem in err
