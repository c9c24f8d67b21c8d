"""What the pages on serving and batches show is run: their Python, their curl, their commands."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from dus.cli import main

from .running import running

DOCS = Path(__file__).parents[2] / "docs" / "guides"


def blocks(page, kind):
    return re.findall(rf"```{kind}\n(.+?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_on_serving_asks_what_is_answered(model, capsys):
    with running(model, name="bundled") as server:
        names = {}
        for block in blocks("serving.md", "python"):
            exec(compile(block.replace("http://127.0.0.1:8000", server.url), "serving.md", "exec"), names)
        out = capsys.readouterr().out
        assert "cat, sheep, rabbit\n4 denoiser calls, 1.5 tokens a call\n" in out
        assert "call 0 wrote ['cat', ','] at [0, 4]" in out
        (curl,) = [block for block in blocks("serving.md", "sh") if block.startswith("curl")]
        words = shlex.split(curl.replace("http://127.0.0.1:8000", server.url).replace("\\\n", ""))
        done = subprocess.run([*words, "--silent", "--show-error"], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["object"] == "text_completion"


def test_the_page_on_batches_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": f"n{n}", "question": f"Tom has {n} apples. Tom buys 7 more. How many apples are there?"} for n in (2, 3)
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.jsonl").write_text(json.dumps(rows[0]) + "\n")
    commands = [line for block in blocks("batches.md", "sh") for line in block.splitlines() if line.startswith("dus ")]
    assert len(commands) == 3
    for command in commands:
        if "ray" not in command:  # tests/serving/test_batch.py has that
            assert main(shlex.split(command)[1:]) == 0
    shown = json.loads(blocks("batches.md", "json")[0])
    for folder, count in (("answers", 2), ("all", 3)):
        found = [json.loads(line) for line in (tmp_path / folder / "part-00000.jsonl").read_text().splitlines()]
        assert len(found) == count
        for record in found:
            assert record.keys() == shown.keys()
            assert record["answers"][0].keys() == shown["answers"][0].keys()


@pytest.mark.parametrize("table", ["option"])
def test_the_options_on_the_page_are_the_commands(table):
    import typer

    from dus.cli.app import app

    command = typer.main.get_command(app).commands["serve"]
    known = {name: parameter.default for parameter in command.params for name in parameter.opts}
    rows = (DOCS / "serving.md").read_text(encoding="utf-8").split(f"| {table} |")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(--[a-z-]+)`", rows, re.MULTILINE)
    assert len(named) == 7
    assert set(named) <= known.keys()
    for name, value in re.findall(r"^\| `(--[a-z-]+)` \| (\d+) (?!MiB)", rows, re.MULTILINE):
        assert known[name] == float(value)
    assert known["--max-body"] == 1 << 20
