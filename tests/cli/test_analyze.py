"""`dus analyze`: its sources, what it writes, and what it refuses."""

import json

import pytest
import typer
from typer.testing import CliRunner

from dus.cli.analyze import analyze

SHORT = ["--max-new-tokens", "8", "--block-length", "4,8"]


@pytest.fixture
def call(monkeypatch):
    """Calls the command: arguments to its result."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["dus", "analyze", "…"])
    app = typer.Typer()
    app.command()(analyze)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def good(call):
    def run(*arguments):
        result = call(*arguments)
        assert result.exit_code == 0, result.exception
        return result.stdout

    return run


@pytest.fixture
def bad(call):
    """Calls it and returns the one sentence of a call that is refused."""

    def run(*arguments):
        error = call(*arguments).exception
        assert isinstance(error, ValueError | OSError), error
        assert type(error).__module__.startswith("dus.") or isinstance(error, OSError)
        return str(error)

    return run


def test_a_prompt_is_answered_and_measured(good, checkpoint):
    out = good("hello", "--model", checkpoint, *SHORT, "--planner", "dus", "--planner", "eb(gamma=1)")
    assert "1 answer a line" in out
    assert out.count("dus") == 2
    assert all(len(line) <= 80 for line in out.splitlines())
    lines = [line.split() for line in out.splitlines() if line.split()[:1] == ["dus"]]
    assert [line[1:5] for line in lines] == [["4", "2.00", "2.0", "100%"], ["8", "2.67", "3.5", "100%"]]


def test_a_folder_of_a_fresh_run_can_be_analysed_again(good, checkpoint, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    task = ["--task", "arithmetic", "--limit", "3", "--errors"]
    out = good(*task, "--model", checkpoint, "--max-new-tokens", "6", "--block-length", "4", "--out", first)
    assert "Where wrong answers come from" in out
    assert "3 of 3" in out
    page = (first / "analysis.md").read_text()
    assert "dus analyze '…'" in page
    assert "`confidence(like=dus)`" in page
    good(first / "traces.json", "--errors", "--before-end", "--out", again)
    assert {path.name for path in first.iterdir()} == {path.name for path in again.iterdir()}
    assert (first / "generation-4.html").read_bytes() == (again / "generation-4.html").read_bytes()
    assert (first / "errors.csv").read_bytes() == (again / "errors.csv").read_bytes()


def test_the_json_of_generate_is_read_with_its_model(good, dus, checkpoint, tmp_path):
    code, out, err = dus(
        "generate", "hello", "--model", checkpoint, "--json", "--max-new-tokens", "8", "--eos", "ignore"
    )
    assert code == 0, err
    trace = tmp_path / "trace.json"
    trace.write_text(out)
    good(trace, "--model", checkpoint, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "generation-32.html").read_text()
    assert page.count("<span") == len(json.loads(out)["answers"][0]["tokens"])


def test_results_of_a_sweep(good, bad, tmp_path):
    from dus.evaluation.cells import Cell
    from dus.evaluation.engine import Answer, Answered, Shard
    from dus.evaluation.store import Store

    store = Store(tmp_path / "results")
    store.begin({"name": "x"}, {})
    assert "no finished cell" in bad(store.folder)
    for planner, distance, isolated in (("dus", 56, 16), ("eb(gamma=1)", 18, 2)):
        cell = Cell("arithmetic", "digest", 2, planner, 16, 16)
        answer = Answer("t", nfe=4, useful=9, written=16, distance=distance, pairs=9, isolated=isolated, unmasked=16)
        shard = Shard(cell, 0, (0, 1), ("p", "q"), True, ())
        store.keep(shard, Answered((answer, answer), 1.0), [1.0, 0.0], ["1", "2"])
        store.finish(store.joined(cell, "right", True))
    out = good(store.folder, "--out", tmp_path / "out")
    lines = [line.split() for line in out.splitlines()]
    assert ["dus", "16", "4.00", "6.2", "100%", "–", "–"] in lines
    assert ["eb(gamma=1)", "16", "4.00", "2.0", "12%", "–", "–"] in lines
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["analysis.md", "spacing-1.csv"]
    assert "results keep no traces" in bad(store.folder, "--errors")


def test_what_is_refused(bad, tmp_path):
    assert "either a prompt" in bad()
    assert "either a prompt" in bad("hello", "--task", "arithmetic")
    assert "whole numbers separated by commas" in bad("hello", "--block-length", "8,x")
    assert "no planner is named 'duss'" in bad("hello", "--planner", "duss")
    assert "block_length is 0" in bad("hello", "--block-length", "0")
    assert "the tasks are arithmetic" in bad("--task", "arithmetics")
    assert "levels are 1, 2, 3" in bad("--task", "arithmetic", "--level", "9")
    assert "there is no file" in bad("missing.json")
    assert "holds no sweep" in bad(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    assert "is not a trace" in bad(tmp_path / "x.json")
    assert "worked equations" in bad("hello", "--errors")
    assert "worked equations" in bad("--task", "instructions", "--errors")


def test_a_missing_matplotlib_is_told_before_the_work(bad, monkeypatch, tmp_path):
    monkeypatch.setattr("dus.writing.style.find_spec", lambda _: None)
    assert "dus-lm[plots]" in bad("hello", "--out", tmp_path)


def test_a_prompt_too_long_for_a_path_is_a_prompt(good, checkpoint):
    assert "1 answer a line" in good("x" * 200 + "\n" + "y" * 30, "--model", checkpoint, *SHORT)
