"""Standard error holds what a user can use, and nothing that libraries say to developers."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from dus.decoding import memory


def test_rows_that_do_not_fit_are_told_of_in_one_line(dus, checkpoint, tmp_path, monkeypatch):
    prompts = tmp_path / "asked.jsonl"
    prompts.write_text('{"prompt": "one and one"}\n' * 3)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    monkeypatch.setattr(memory, "row_bytes", lambda model, settings, length: 400_000)
    options = ["--max-new-tokens", "8", "--block-length", "4", "--device", "cpu"]
    code, _, err = dus("generate", prompts, "--model", checkpoint, *options)
    assert code == 0, err
    said = [line for line in err.splitlines() if "at a time" in line]
    assert len(said) == 1
    assert said[0].startswith("dus: 3 rows of ")
    assert said[0].endswith("they are decoded 2 at a time")
    assert "Warning" not in err


@pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed")
def test_torchao_is_not_heard():
    code = """
from dus.cli import _silence_libraries
_silence_libraries()
import torchao.quantization
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stderr == b""
