"""Bad input: exit code 2, one line on standard error that says what is wrong, nothing on standard output."""

import io
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import save

SHORT = ["--max-new-tokens", "4"]


def assert_refused(result, *words):
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("dus: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["nonsense"]),
        (["generate"], ["PROMPT"]),
        (["generate", "hi", "--unheard-of"], ["--unheard-of"]),
        (["generate", "hi", "--gen-length", "8"], ["--gen-length", "it is called --max-new-tokens here"]),
        (["generate", "hi", "--steps", "8"], ["--planner=confidence(steps=8)"]),
        (["generate", "hi", "--model-path", "x"], ["it is called --model here"]),
        (["planners", "--steps", "8"], ["No such option: --steps"]),
        (["generate", "hi", "--samples", "0"], ["samples"]),
        (["generate", "hi", "--block-length", "many"], ["block_length is 'many'"]),
        (["generate", "hi", "--planner", "dsu"], ["dsu", "did you mean 'dus'"]),
        (["generate", "hi", "--planner", "dus(base=1)"], ["base is 1"]),
        (["generate", "hi", "--planner", "spaced"], ["eb | spaced"]),
        (["generate", "hi", "--block-length", "0"], ["block_length is 0"]),
        (["generate", "hi", "--max-new-tokens", "-1"], ["max_new_tokens is -1"]),
        (["generate", "hi", "--temperature", "-1"], ["temperature"]),
        (["generate", "hi", "--top-p", "2"], ["top_p"]),
        (["generate", "hi", "--cache", "warm"], ["warm", "none"]),
        (["generate", "hi", "--eos", "maybe"], ["maybe", "stop, ignore"]),
        (["generate", "hi", "--stop", ""], ["stop"]),
        (["generate", "hi", "--watch", "--json"], ["--watch"]),
        (["generate", "hi", "--watch", "--samples", "2"], ["--watch"]),
        (["generate", ""], ["empty"]),
        (["generate", " \n"], ["empty"]),
        (["generate", "nowhere.jsonl"], ["no file nowhere.jsonl"]),
        (["generate", "hi", "--model", "./nowhere"], ["./nowhere"]),
        (["generate", "hi", "--out", "nowhere/out.jsonl"], ["nowhere/out.jsonl", "no folder"]),
        (["compare", "hi", "--planner", "dsu"], ["dsu"]),
        (["compare", "hi", "--repeat", "0"], ["repeat"]),
        (["compare", "hi", "--block-length", "0"], ["block_length is 0"]),
        (["schedule", "--planner", "eb"], ["eb(gamma=0.1)", "depends on the model"]),
        (["schedule", "--planner", "confidence(steps=4)"], ["4 steps for 16"]),
        (["schedule", "--block-length", "0"], ["block-length"]),
        (["planners", "dsu"], ["dsu", "known are dus"]),
        (["demo", "--problems", "0"], ["problems"]),
    ],
    ids=" ".join,
)
def test_arguments(dus, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert_refused(dus(*arguments), *words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.jsonl", b'{"question": "a"}\n{"question": \n', ["q.jsonl, line 2", "no valid JSON"]),
        ("q.jsonl", b'{"question": "a"}\n\n{"answer": "b"}\n', ["q.jsonl, line 3", "answer", "question"]),
        ("q.jsonl", b"{}", ["q.jsonl, line 1", "no fields"]),
        ("q.jsonl", b'["a"]', ["q.jsonl, line 1", "object"]),
        ("q.jsonl", b'{"prompt": ""}', ["q.jsonl, line 1", "prompt"]),
        ("q.jsonl", b'{"text": 7}', ["q.jsonl, line 1", "text"]),
        ("q.jsonl", b'{"messages": []}', ["q.jsonl, line 1", "messages"]),
        ("q.jsonl", b'{"messages": [{"role": "user"}]}', ["q.jsonl, line 1", "content"]),
        ("q.jsonl", b"\n \n", ["q.jsonl", "no prompts"]),
        ("q.txt", b"", ["q.txt is empty"]),
        ("q.txt", b"caf\xe9", ["q.txt", "UTF-8", "byte 3"]),
    ],
)
def test_files(dus, tmp_path, monkeypatch, name, content, words):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    assert_refused(dus("generate", name), *words)


def test_folder_as_prompt(dus, tmp_path):
    assert_refused(dus("generate", tmp_path), "is a folder")


def test_many_prompts_where_one_is_meant(dus, tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "a"}\n')
    assert_refused(dus("compare", file), "one prompt")
    assert_refused(dus("generate", file, "--watch"), "one prompt")


def test_prompts_are_not_overwritten(dus, tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "a"}\n')
    assert_refused(dus("generate", file, "--out", file), "the file of the prompts")
    assert file.read_text() == '{"question": "a"}\n'


@pytest.mark.parametrize("stream", [None, io.TextIOWrapper(io.BytesIO(b"")), io.TextIOWrapper(io.BytesIO(b"\xff"))])
def test_standard_input(dus, monkeypatch, stream):
    monkeypatch.setattr(sys, "stdin", stream)
    assert_refused(dus("generate", "-"), "standard input")


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("a <|mask|> b", SHORT, ["mask token", "infill"]),
        ("x" * 250, ["--max-new-tokens", "10"], ["context of 256"]),
        ("hi", [*SHORT, "--chat"], ["chat template"]),
        ("hi", ["--max-new-tokens", "0"], ["nothing to generate"]),
        ("hi", [*SHORT, "--dtype", "int8"], ["int8"]),
        ("hi", [*SHORT, "--device", "toaster"], ["toaster"]),
        ("hi", [*SHORT, "--defer-tokens", "2,end"], ["token ids are whole numbers", "2,end"]),
    ],
    ids=["mask", "long", "chat", "nothing", "dtype", "device", "ids"],
)
def test_prompt_that_the_model_cannot_take(dus, checkpoint, prompt, options, words):
    assert_refused(dus("generate", prompt, "--model", checkpoint, *options), *words)
    assert_refused(dus("compare", prompt, "--model", checkpoint, *options), *words)


def test_long_line_is_named_before_anything_is_decoded(dus, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("dus.decoding.generate", None)
    file = tmp_path / "q.jsonl"
    file.write_text("".join(f'{{"text": "{"x" * length}"}}\n' for length in (3, 240, 250, 4)))
    assert_refused(dus("generate", file, "--model", checkpoint, "--max-new-tokens", "20"), "line 3", "at most 6")


def test_a_chat_template_that_refuses_a_system_turn(dus, tmp_path):
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    model = save(tmp_path / "model", template)
    file = tmp_path / "q.jsonl"
    turns = '[{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]'
    file.write_text(f'{{"text": "hi"}}\n{{"messages": {turns}}}\n')
    words = ["line 2", "refuses a conversation of system, user", "no system role"]
    assert_refused(dus("generate", file, "--model", model, *SHORT), *words)


@pytest.fixture
def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "damaged")


def test_truncated_checkpoint(dus, damaged):
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert_refused(dus("generate", "hi", "--model", damaged), str(damaged))


def test_checkpoint_without_a_tokenizer(dus, damaged):
    for file in damaged.glob("tokenizer*"):
        file.unlink()
    assert_refused(dus("generate", "hi", "--model", damaged), "tokenizer.json")


def test_failure_leaves_the_file_that_was_there(dus, checkpoint, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    assert_refused(dus("generate", "a <|mask|>", "--model", checkpoint, *SHORT, "--out", out), "mask")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("out.jsonl", "before")]
