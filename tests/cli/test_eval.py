"""dus eval: a grid on the bundled model, from the command line to the tables."""

import json
import os

import pytest
import torch

from dus.evaluation.store import Store

SMALL = ["--limit", 3, "--max-new-tokens", 8, "--planner", "dus", "--planner", "random(like=dus)"]
GSM8K = [
    {"question": f"Ann has {n} pens and buys {n}. How many has she?", "answer": f"{n} + {n} = {2 * n}\n#### {2 * n}"}
    for n in range(2, 9)
]


@pytest.fixture
def data(tmp_path):
    """Problems in the format of GSM8K."""
    for split in ("train", "test"):
        lines = "\n".join(json.dumps(problem) for problem in GSM8K)
        (tmp_path / f"gsm8k_{split}.jsonl").write_text(lines + "\n", encoding="utf-8")
    return tmp_path


def test_a_grid_is_decoded_once(dus, good, tmp_path):
    out = tmp_path / "out"
    asked = ["eval", "--out", out, *SMALL, "--block-length", "4,8", "--seed", "0,1", "--eos", "ignore,stop"]
    text = good(*asked)
    assert "## arithmetic, level 1, end tokens ignored" in text
    assert "| planner | B = 4 | B = 8 |" in text
    assert f"dus report {out}" in text
    cells = {outcome.cell for outcome in Store(out).outcomes()}
    assert len(cells) == 2 * 2 * (1 + 2)
    assert {cell.max_new_tokens for cell in cells} == {8}
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert good(*asked) == text
    assert {path: path.stat().st_mtime_ns for path in before} == before
    model, sessions = Store(out).record().values()
    assert model["name"] == "bundled"
    assert len(model["fingerprint"]) == 16
    assert len(sessions) == 2
    assert {"command", "engine", "versions", "git", "hardware"} <= sessions[0].keys()


def test_options_change_what_the_preset_says(good, tmp_path):
    good("eval", "--out", tmp_path, "--preset", "report-quick", *SMALL, "--block-length", "8", "--eos", "stop")
    cells = [outcome.cell for outcome in Store(tmp_path).outcomes()]
    assert {(cell.planner, cell.block_length, cell.eos) for cell in cells} == {
        ("dus", 8, "stop"),
        ("random(like=dus)", 8, "stop"),
    }
    assert {cell.questions for cell in cells} == {"arithmetic, level 2"}


def test_a_benchmark_from_a_folder(good, tmp_path, data):
    pytest.importorskip("lm_eval")
    text = good("eval", "--out", tmp_path / "out", "--task", "gsm8k", "--data-dir", data, *SMALL, "--block-length", "8")
    assert "## gsm8k, end tokens respected" in text
    for outcome in Store(tmp_path / "out").outcomes():
        assert len(outcome.samples) == 3
        assert all("Ann has" in sample["prompt"] for sample in outcome.samples)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--planner", "duss"], "did you mean 'dus'"),
        (["--block-length", "8,many"], "--block-length takes whole numbers"),
        (["--level", "7"], "no level 7"),
        (["--limit", "2001"], "2000 held-out problems a level, not 2001"),
        (["--preset", "large"], "the presets are default, field, leaders, order, report, report-quick"),
        (["--cache", "warm"], "warm"),
        (["--engine", "slurm"], "--engine is local, or ray"),
        (["--workers", "2"], "--engine is local, or ray"),
        (["--task", "code"], "--confirm-run-unsafe-code"),
        (["--model", "./nowhere"], "./nowhere"),
        (["--dtype", "int8"], "int8"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(dus, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    code, out, err = dus("eval", "--out", "out", "--limit", "2", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert word in err
    assert not (tmp_path / "out").exists()


def processor(monkeypatch, bfloat16):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bfloat16}, raising=False)


def test_the_type_that_auto_comes_down_to_is_recorded(dus, good, tmp_path, monkeypatch):
    """Another processor, where it comes down to another one, does not go on with these answers."""
    asked = ["eval", "--out", tmp_path, *SMALL, "--block-length", "8", "--device", "cpu"]
    processor(monkeypatch, bfloat16=False)
    good(*asked)
    assert Store(tmp_path).record()["model"]["dtype"] == "float32"
    processor(monkeypatch, bfloat16=True)
    code, _, err = dus(*asked)
    assert code == 2
    assert "another model (dtype float32, not bfloat16)" in err
    good(*asked, "--dtype", "float32")


def test_a_folder_of_an_unknown_type_is_refused(dus, good, tmp_path):
    asked = ["eval", "--out", tmp_path, *SMALL, "--block-length", "8", "--device", "cpu"]
    good(*asked)
    record = json.loads((tmp_path / "record.json").read_text())
    record["model"]["dtype"] = "auto"
    (tmp_path / "record.json").write_text(json.dumps(record))
    code, _, err = dus(*asked)
    assert code == 2
    assert "another model (dtype auto, not " in err


def test_another_models_folder_is_refused(dus, good, tmp_path, chat_checkpoint):
    good("eval", "--out", tmp_path, *SMALL, "--block-length", "8")
    code, _, err = dus("eval", "--out", tmp_path, *SMALL, "--block-length", "8", "--model", chat_checkpoint)
    assert code == 2
    assert "name another folder" in err


@pytest.mark.skipif(os.name == "nt", reason="there are no locks of this kind")
def test_a_folder_is_filled_by_one_sweep_at_a_time(dus, good, tmp_path):
    out = tmp_path / "out"
    asked = ["eval", "--out", out, *SMALL, "--block-length", "8"]
    with Store(out).alone():
        code, _, err = dus(*asked)
    assert code == 2
    assert err.splitlines()[-1].startswith(f"dus: {out} is being filled by process {os.getpid()} on ")
    assert not (out / "record.json").exists()
    good(*asked)


def test_the_mask_token_is_part_of_what_a_folder_holds(dus, good, checkpoint, tmp_path):
    asked = ["eval", "--out", tmp_path / "out", "--model", checkpoint, *SMALL, "--no-chat", "--block-length", "8"]
    good(*asked)
    code, _, err = dus(*asked, "--mask-token-id", "7")
    assert code == 2
    assert "holds the answers of another model (mask_token_id None, not 7)" in err
