"""The prepared run, in small on a processor: every part ends, and the page is made of what it left."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu") / "out"
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "HOME": str(out)}
    subprocess.run(["sh", "benchmarks/gpu.sh", "--tiny", str(out)], cwd=ROOT, check=True, env=environment)
    return out


def test_the_limits_leave_time_to_train():
    script = (ROOT / "benchmarks" / "gpu.sh").read_text()
    limits = [int(found) for found in re.findall(r"^(?:part|bench) \w+ (\d+) ", script, re.MULTILINE)]
    assert len(limits) == 8
    assert sum(limits) <= 475
    assert "525 - " in script


def test_every_part_ends(left):
    parts = dict(line.split()[:2] for line in (left / "parts.txt").read_text().splitlines())
    assert parts.keys() == {"right", "one", "adaptive", "each", "many", "experts", "floor"}
    assert {name for name, code in parts.items() if code != "0"} == set(), (left / "right.txt").read_text()[-2000:]


def test_the_page_holds_what_was_measured(left):
    page = left / "gpu.md"
    subprocess.run([sys.executable, "benchmarks/gpu_page.py", str(left), str(page)], cwd=ROOT, check=True)
    text = page.read_text()
    for part in ("`dus` | `touched` | 1", "times one read of the weights", "passed"):
        assert part in text
