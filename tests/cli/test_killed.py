"""A run that is stopped leaves files as they were, or none."""

import signal
import subprocess
import sys

import pytest

from dus.decoding.run import Run

QUESTION = '{"prompt": "one and one"}\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asked.jsonl").write_text(QUESTION * 3)
    return tmp_path


def stop_after(monkeypatch, count):
    """The user's interrupt, after so many steps."""
    steps = Run.steps

    def stopped(self, **how):
        for number, step in enumerate(steps(self, **how)):
            if number == count:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(Run, "steps", stopped)


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "--prompt", "4", "--new", "8", "--block-length", "4", "--out", "out", "--page", "page.md"],
        ["bench", "--growth", "new", "--new", "8,16", "--block-length", "4", "--prompt", "4", "--page", "page.md"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_an_interrupt_leaves_no_file(dus, checkpoint, folder, monkeypatch, command):
    stop_after(monkeypatch, 3)
    code, _, _ = dus(*command, "--model", checkpoint, "--device", "cpu")
    assert code == 130
    assert [file.name for file in folder.iterdir()] == ["asked.jsonl"]


def test_a_process_that_is_killed_while_it_writes_leaves_the_file_that_was_there(folder):
    (folder / "answers").write_text("of yesterday")
    code = """
import os, pathlib, signal
from dus.cli.output import replacing
with replacing(pathlib.Path("answers")) as file:
    file.write("half of today's")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    finished = subprocess.run([sys.executable, "-c", code], check=False, cwd=folder)
    assert finished.returncode == -signal.SIGKILL
    assert (folder / "answers").read_text() == "of yesterday"
