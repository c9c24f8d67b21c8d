"""The console script as a whole: what it costs to start, and how it ends."""

import io
import subprocess
import sys

import pytest

from dus import cli

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "huggingface_hub")
COMMANDS = (
    "generate",
    "compare",
    "schedule",
    "planners",
    "demo",
    "train",
    "theory",
    "eval",
    "lm-eval",
    "bench",
    "analyze",
    "report",
    "calibrate",
)


def python(code, **kwargs):
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        **kwargs,
    )


def test_help_imports_nothing_heavy():
    calls = [["--help"], ["--version"], [], *([command, "--help"] for command in COMMANDS)]
    code = f"""
import sys
from dus.cli import main
codes = [main(arguments) for arguments in {calls}]
print(codes, sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)
"""
    finished = python(code)
    assert finished.stderr.split("\n")[0] == f"{[0] * len(calls)} []"
    assert "Usage: dus generate" in finished.stdout


def test_help_names_every_command(good):
    text = good("--help")
    assert all(f"  {command} " in text for command in COMMANDS)
    assert good() == text
    assert good("theory") == good("theory", "--help")


def test_version(good):
    assert good("--version").startswith("dus")


def test_interrupt_ends_quietly():
    code = """
import os, signal, sys, time
from dus.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background begins without it
class Waiting:  # standard input, at which the user interrupts
    def read(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(50)
sys.stdin = type("Input", (), {"buffer": Waiting()})
sys.exit(main(["generate", "-"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.wait(timeout=60)
    assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, b"", b"")


def test_reader_that_stops_reading_is_no_error():
    code = "import sys; from dus.cli import main; sys.exit(main(['generate', '--help']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) in (0, 1)


def test_terminal_without_unicode_gets_escapes(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert cli.main(["schedule"]) == 0
    assert written.getvalue().count(b"\\u25a0") == 16


def test_errors_of_our_own_making_are_not_hidden(monkeypatch):
    def broken():
        raise ValueError("a bug")

    monkeypatch.setattr("dus.planners.registered", broken)
    with pytest.raises(ValueError, match="a bug"):
        cli.main(["planners"])
