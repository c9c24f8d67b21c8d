import json
from dataclasses import fields, replace

import numpy as np
import pytest

from dus.lab.analysis import AnalysisError
from dus.lab.analysis.files import FORMAT, is_trace, load, save, spelled
from dus.writing.colours import pieces

from .conftest import Bytes, answer


def same(one, other):
    for field in fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, np.ndarray):
            np.testing.assert_allclose(ours, theirs, atol=5e-5)
        else:
            assert ours == theirs


def test_what_is_saved_is_loaded(runs, tmp_path):
    path = tmp_path / "traces.json"
    judged = runs[0].judged(["1 + 1 = 2", "no"], lambda number, text: number == 1)
    save(path, [judged, *runs[1:]])
    found = load(path)
    assert [path.name for path in tmp_path.iterdir()] == ["traces.json"]
    assert [(run.planner, run.block_length, run.model) for run in found] == [
        (run.planner, run.block_length, run.model) for run in runs
    ]
    for ours, theirs in zip([judged, *runs[1:]], found, strict=True):
        for one, other in zip(ours.answers, theirs.answers, strict=True):
            same(one, other)
    assert [one.right for one in found[0].answers] == [False, True]


def test_a_failed_save_leaves_the_old_file(runs, tmp_path):
    path = tmp_path / "traces.json"
    save(path, runs)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save(path, [replace(runs[0], planner=object())])
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


GENERATED = {
    "prompt": "hi",
    "answers": [{"text": "ab", "nfe": 2, "tpf": 1.0, "raw_tpf": 1.0, "tokens": [67, 68], "step": [1, 0]}],
    "planner": "dus",
    "block_length": 8,
    "seed": 0,
}
COMPARED = {
    "prompt": [{"role": "user", "content": "hi"}],
    "block_length": 8,
    "results": [{"planner": name, **GENERATED["answers"][0]} for name in ("dus", "eb(gamma=1)")],
}


def test_the_json_of_generate_and_compare_is_read(tmp_path):
    document, lines, compared = (tmp_path / name for name in ("one.json", "many.jsonl", "compared.json"))
    document.write_text(json.dumps(GENERATED, indent=1))
    lines.write_text("".join(json.dumps({"line": n, **GENERATED}) + "\n" for n in (1, 2)) + "\n")
    compared.write_text(json.dumps(COMPARED))
    assert all(map(is_trace, (document, lines, compared)))
    (one,), (many,), both = load(document), load(lines), load(compared)
    assert [len(one.answers), len(many.answers)] == [1, 2]
    assert [(run.planner, run.answers[0].prompt) for run in both] == [("dus", "hi"), ("eb(gamma=1)", "hi")]
    assert one.answers[0].step.tolist() == [1, 0]
    assert np.isnan(one.answers[0].entropy).all()
    tokenizer = Bytes()
    assert spelled(one, tokenizer, "bytes").answers[0].text == tokenizer.decode([67, 68])
    with pytest.raises(AnalysisError, match="not those of bytes: name the model"):
        spelled(replace(one, answers=(answer([""] * 2, [0, 1], tokens=(1, 999)),)), tokenizer, "bytes")


def test_prompts_are_no_traces(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"question": "which \\"answers\\": [are] there"}\n')
    assert not is_trace(prompts)
    text = tmp_path / "prompt.txt"
    text.write_text('"answers": [')
    assert not is_trace(text)


BASE = {
    "prompt": "p",
    "pieces": ["a"],
    "step": [0],
    "confidence": [0.5],
    "entropy": [None],
    "calls": 1,
    "useful": 1,
}


def own(run=None, **change):
    base = {"planner": "dus", "block_length": 4, "model": "m", "answers": [{**BASE, **change}], **(run or {})}
    return json.dumps({"format": FORMAT, "runs": [base]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[]", "not a trace"),
        ("3", "not a trace"),
        ("{}", "has no 'prompt'"),
        (json.dumps({"format": "dus traces 9", "runs": []}), "its format is 'dus traces 9'"),
        (json.dumps({"format": FORMAT, "runs": []}), "holds no answers"),
        (json.dumps({"format": FORMAT}), "has no 'runs'"),
        (own({"answers": []}), "dus has no answers"),
        (own({"block_length": 0}), "at least 1"),
        (own({"block_length": "8"}), "a whole number is needed where '8' stands"),
        (own({"planner": "a\nb"}), "one line of text"),
        (own(step=[0.5]), "a whole number is needed where '0.5' stands"),
        (own(step=[True]), "a whole number is needed"),
        (own(step=[0, 1]), "differ in number"),
        (own(useful=2), "an answer of 1 positions has 2 before its end"),
        (own(useful=0, step=[], pieces=[], confidence=[], entropy=[]), "an answer of 0 positions"),
        (own(step=[1 << 40]), "no answer takes"),
        (own(step=[1 << 80]), "not a trace"),
        (own(step=None), "not a trace"),
        (own(pieces=[3]), "a text is needed where '3' stands"),
        (own(confidence=["x"]), "not a trace"),
        (own(entropies=[[0.5], [0.5]]), "entropies of 1 positions before 1 steps"),
        (json.dumps({**GENERATED, "answers": [{**GENERATED["answers"][0], "tokens": [1]}]}), "differ in number"),
        (json.dumps({**GENERATED, "answers": []}), "holds no answers"),
    ],
)
def test_what_is_no_trace_is_told(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(AnalysisError, match=r"bad\.json") as error:
        load(path)
    assert message in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnalysisError, match="no UTF-8 text"):
        load(path)


def test_pieces_add_up_and_wait_for_whole_characters():
    tokenizer = Bytes()
    tokens = list("né ☃!".encode())
    found = pieces(tokenizer, tokens)
    assert len(found) == len(tokens)
    assert "".join(found) == "né ☃!"
    assert found[:4] == ("n", "", "é", " ")
