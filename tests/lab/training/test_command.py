import json
from dataclasses import replace

import pytest

from dus.cli import main
from dus.lab.training import check, settings
from dus.lab.training.data import Curriculum
from dus.lab.training.model import Size

TINY = replace(
    check.SETTINGS,
    steps=2,
    decay=1,
    size=Size(width=16, layers=1, heads=2, mlp=16, kv_heads=2),
    tokens_per_batch=256,
    probe_every=2,
    try_every=1000,
    judged=1,
    judged_levels=(1,),
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--out"),
        (["--out", "{}/none", "--resume"], "holds no training run"),
        (["--out", "{}"], "not empty"),
        (["--out", "{}/new", "--steps", "0"], "--steps"),
    ],
)
def test_bad_input_gets_exit_code_2_and_one_line(arguments, sentence, tmp_path, capsys):
    (tmp_path / "something").touch()
    assert main(["train", *(argument.format(tmp_path) for argument in arguments)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]


def test_the_command_trains_what_it_says(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(settings, "TrainingSettings", lambda: TINY)
    options = ["--steps", "3", "--seed", "7", "--task", "text=1,arithmetic=3"]
    assert main(["train", "--out", str(tmp_path / "a"), *options]) == 0
    assert "a/model" in capsys.readouterr().out.replace("\n", "")
    card = (tmp_path / "a/model/README.md").read_text()
    assert "dus train --out DIR --steps 3 --decay 1 --seed 7 --task arithmetic=3,text=1\n" in card
    assert {line.split(" | ")[0] for line in card.splitlines() if line.startswith("| ")} >= {"| arithmetic", "| text"}
    assert "code" not in card
    levels = {task: " : ".join(map(str, shares)) for task, _, shares in Curriculum().tasks}
    assert f"75% `arithmetic`, {levels['arithmetic']}; 25% `text`, {levels['text']}" in card
    measured = {name for line in (tmp_path / "a/log.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {name for name in measured if name.endswith("_1")} == {"bound_arithmetic_1", "bound_text_1"}


@pytest.mark.parametrize(
    ("bound", "right", "code"), [(2.2, 0.15, 0), (4.1, 0.15, 1), (2.2, 0.01, 1), (float("nan"), 0.5, 1)]
)
def test_the_check_fails_where_nothing_was_learned(monkeypatch, capsys, bound, right, code):
    monkeypatch.setattr(check, "train", lambda folder, settings: None)
    monkeypatch.setattr(check.journal, "entries", lambda folder: [{"bound_arithmetic_1": bound, "equations": right}])
    assert main(["train", "--check"]) == code
    assert f"equations {right:.1%} right" in capsys.readouterr().out


def test_two_steps_are_not_enough_to_learn(monkeypatch, tmp_path):
    monkeypatch.setattr(check, "SETTINGS", TINY)
    learned, report = check.check(tmp_path / "run")
    assert not learned
    assert "nats a token" in report


def test_a_minute_is_enough_to_learn(tmp_path):
    learned, report = check.check(tmp_path / "run")
    assert learned, report
