"""Sweeps lose nothing, decode nothing twice, and their tables say what was counted."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.decoding import Generation, Trace
from dus.evaluation import Cell, Outcome, SweepError, sweep
from dus.evaluation.page import comparison, paired, table
from dus.evaluation.sweep import grid
from dus.planners import PlannerError
from dus.tasks import TaskError, get

CELL = Cell("arithmetic", 1, "dus", 16, limit=6)


@pytest.fixture
def decoded(monkeypatch):
    """Answers every second problem rightly, in four calls; counts how often it is asked."""
    import importlib

    asked = []
    problems = {problem.question: problem for problem in get("arithmetic").held_out(1)}

    def generate(model, questions, **settings):
        asked.append(settings)
        texts = [problems[q].solution if n % 2 == 0 else "#### 0" for n, q in enumerate(questions)]
        nothing = [torch.tensor([])] * len(texts)
        trace = Trace(nothing, nothing, nothing, settings["block_length"], settings["planner"])
        count = [32] * len(texts)
        return Generation(nothing, texts, [4] * len(texts), count, count, trace, 0)

    monkeypatch.setattr(importlib.import_module("dus.evaluation.sweep"), "generate", generate)
    return asked


def test_a_cell_is_scored(decoded, tmp_path):
    (outcome,) = sweep(None, [CELL], tmp_path, name="m")
    assert (outcome.accuracy.right, outcome.accuracy.total) == (3, 6)
    assert outcome.nfe == 4
    assert outcome.tpf == 8
    assert decoded[0]["planner"] == "dus"
    assert decoded[0]["block_length"] == 16


def test_a_sweep_goes_on_where_it_stopped(decoded, tmp_path):
    cells = [replace(CELL, block_length=length) for length in (8, 16, 32)]
    going = sweep(None, cells, tmp_path, name="m")
    first = [next(going), next(going)]
    going.close()
    everything = list(sweep(None, cells, tmp_path, name="m"))
    assert len(decoded) == 3
    assert everything[:2] == first
    assert [outcome.cell for outcome in everything] == cells


def test_an_unfinished_file_is_not_taken_for_a_result(decoded, tmp_path):
    (tmp_path / CELL.file_name).with_suffix(".partial").write_text('{"cell":')
    assert len(list(sweep(None, [CELL], tmp_path, name="m"))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [CELL.file_name]


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"cell": {}}'])
def test_a_damaged_file_is_named(decoded, tmp_path, damage):
    (tmp_path / CELL.file_name).write_text(damage)
    with pytest.raises(SweepError, match=CELL.file_name):
        list(sweep(None, [CELL], tmp_path, name="m"))


def test_another_models_folder_is_refused(decoded, tmp_path):
    list(sweep(None, [CELL], tmp_path, name="m"))
    with pytest.raises(SweepError, match="results of m, not of n"):
        list(sweep(None, [CELL], tmp_path, name="n"))


def test_a_grid_has_every_combination_once():
    settings = {"task": "arithmetic", "levels": [1, 2], "block_lengths": [8, 16], "limit": 5}
    cells = grid(**settings, planners=["confidence", "dus", "eb(gamma=1)"], caches=["none", "dual"])
    assert len({cell.file_name for cell in cells}) == len(cells) == 2 * 3 * 2 * 2
    with pytest.raises(PlannerError, match="did you mean 'dus'"):
        grid(**settings, planners=["duss"], caches=["none"])
    with pytest.raises(TaskError, match="arithmetic"):
        grid(**{**settings, "task": "algebra"}, planners=["dus"], caches=["none"])


def outcome(planner, rights, **cell):
    samples = [{"question": str(n), "right": right, "nfe": 5, "tpf": 1.0} for n, right in enumerate(rights)]
    return Outcome(replace(CELL, planner=planner, **cell), "m", samples, 1.0)


def test_a_table_has_a_line_a_planner_and_a_column_a_block_length():
    made = table([outcome("dus", [1, 1, 0, 0], block_length=8), outcome("eb(gamma=1) | spaced(gap=4)", [1] * 4)])
    lines = made.splitlines()
    assert lines[0] == "| planner | block 8 | block 16 |"
    assert "50.0% (15% to 85%), 5.0 calls" in lines[2]
    assert "eb(gamma=1) \\| spaced(gap=4)" in lines[3]
    assert "100.0%" in lines[3]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(pairs):
    ours, theirs = zip(*pairs, strict=True)
    only_ours, only_theirs, p = paired(outcome("dus", ours), outcome("eb", theirs))
    n = sum(a != b for a, b in pairs)
    assert only_ours + only_theirs == n
    chance = [math.comb(n, k) / 2**n for k in range(n + 1)]
    expected = sum(one for k, one in enumerate(chance) if abs(k - n / 2) >= abs(only_ours - n / 2))
    assert p == pytest.approx(min(1, expected))


def test_pairs_have_to_be_of_the_same_problems():
    other = outcome("eb", [1, 1])
    other.samples[0]["question"] = "another"
    with pytest.raises(ValueError, match="same problems"):
        paired(outcome("dus", [1, 1]), other)


def test_a_comparison_has_a_line_a_block_length():
    cells = [outcome(p, r, block_length=b) for b in (8, 16) for p, r in (("dus", [1, 1, 0]), ("eb", [0, 1, 0]))]
    lines = comparison(cells, "dus", "eb").splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["8", "16"]
    assert all(line.split("|")[3:6] == [" 1 ", " 0 ", " 1 "] for line in lines[2:])
