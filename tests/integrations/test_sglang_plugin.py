"""The plugin in a program without SGLang, and beside versions of it that it does not know."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

TABLE = "from sglang.srt.dllm.algorithm import base\nalgo_name_to_cls = {'LowConfidence': object}\n"
BASE = "class DllmAlgorithm:\n    def step(self, {}):\n        pass\n"
START = "import logging, sys; logging.basicConfig(format='%(message)s'); "


def run(program, *folders):
    path = os.pathsep.join(map(str, [*folders, *filter(None, [os.environ.get("PYTHONPATH")])]))
    words = [sys.executable, "-c", START + program]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr.splitlines()


@pytest.fixture
def sglang(tmp_path):
    """A folder with an SGLang of a version, whose algorithms take a step of these arguments."""

    def make(version, arguments):
        for part in ("sglang", "sglang/srt", "sglang/srt/dllm", "sglang/srt/dllm/algorithm"):
            (tmp_path / part).mkdir()
            (tmp_path / part / "__init__.py").write_text(TABLE if part.endswith("algorithm") else "")
        (tmp_path / "sglang/srt/dllm/algorithm/base.py").write_text(BASE.format(arguments))
        (tmp_path / f"sglang-{version}.dist-info").mkdir()
        metadata = f"Metadata-Version: 2.1\nName: sglang\nVersion: {version}\n"
        (tmp_path / f"sglang-{version}.dist-info/METADATA").write_text(metadata)
        return tmp_path

    return make


LATER = "from dus.integrations.sglang_plugin import register; register(); register(); "
IMPORT = "from sglang.srt.dllm.algorithm import algo_name_to_cls as table; print(*table)"


def test_registering_imports_nothing_heavy():
    out, log = run(LATER + "print(*{'torch', 'transformers', 'sglang'} & set(sys.modules))")
    assert (out, log) == ([], [])


@pytest.mark.skipif(find_spec("sglang") is not None, reason="SGLang is installed")
def test_without_sglang_the_algorithm_says_what_is_missing():
    with pytest.raises(ImportError, match=r"the algorithm needs SGLang 0\.5\.23"):
        importlib.import_module("dus.integrations.sglang")


@pytest.mark.parametrize("order", [LATER + IMPORT, IMPORT + "; " + LATER + "print(*table)"], ids=["before", "after"])
def test_another_version_gets_the_algorithm_and_one_line(sglang, order):
    out, log = run(order, sglang("0.6.0", "forward_batch, full_logits, states"))
    assert out[-2:] == ["LowConfidence", "DUS"]
    assert log[:1] == ["the algorithm DUS is made for SGLang 0.5.23 and untested with 0.6.0"]


def test_a_version_with_another_step_goes_without_and_gets_one_line(sglang):
    out, log = run(LATER + IMPORT, sglang("0.4.0", "batch, logits"))
    assert out == ["LowConfidence"]
    assert log == [
        "SGLang 0.4.0 goes without the algorithm DUS, which is made for 0.5.23: its algorithms take a step of self, "
        "batch, logits"
    ]
