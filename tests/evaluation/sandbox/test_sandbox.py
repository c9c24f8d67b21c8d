"""Real programs in the real sandbox: which pass, which fail, and what they find there."""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation import sandbox
from dus.evaluation.sandbox import SandboxError, passes, passes_all, run

from .machines import linux, sandboxed

pytestmark = sandboxed

# prompt, solution, wrong solution, tests: four problems in the manner of HumanEval.
PROBLEMS = [
    (
        'def middle(values: list[int]) -> float:\n    """The median."""\n',
        "    v = sorted(values)\n    n = len(v)\n    return v[n // 2] if n % 2 else (v[n // 2 - 1] + v[n // 2]) / 2\n",
        "    return sorted(values)[len(values) // 2]\n",
        "def check(f):\n    assert f([3, 1, 2]) == 2\n    assert f([4, 1, 2, 3]) == 2.5\ncheck(middle)",
    ),
    (
        'from collections import Counter\n\ndef commonest(text: str) -> str:\n    """The commonest word."""\n',
        "    return Counter(text.split()).most_common(1)[0][0]\n",
        "    return max(text.split())\n",
        "assert commonest('b a b') == 'b'\nassert commonest('a a b') == 'a'",
    ),
    (
        'def primes(n: int) -> list[int]:\n    """The primes below n."""\n',
        "    return [p for p in range(2, n) if all(p % d for d in range(2, p))]\n",
        "    return [p for p in range(1, n) if all(p % d for d in range(2, p))]\n",
        "def check(candidate):\n    assert candidate(10) == [2, 3, 5, 7]\n    assert candidate(2) == []\ncheck(primes)",
    ),
    (
        'import re\n\ndef vowels(word: str) -> int:\n    """How many vowels there are."""\n',
        "    return len(re.findall('[aeiou]', word.lower()))\n",
        "    return len(re.findall('[aeiou]', word))\n",
        "assert vowels('Apple') == 2\nassert vowels('xyz') == 0",
    ),
]


def test_canonical_solutions_pass_and_wrong_ones_do_not():
    right = [(prompt + solution, tests) for prompt, solution, _, tests in PROBLEMS]
    wrong = [(prompt + mistake, tests) for prompt, _, mistake, tests in PROBLEMS]
    assert passes_all(right + wrong, workers=2) == [True] * 4 + [False] * 4


@pytest.mark.skipif("DUS_DATA_DIR" not in os.environ, reason="DUS_DATA_DIR names no folder of published data sets")
def test_every_solution_of_humaneval_passes():
    lines = (Path(os.environ["DUS_DATA_DIR"]) / "humaneval.jsonl").read_text(encoding="utf-8").splitlines()
    docs = [json.loads(line) for line in lines]
    tests = [f"{doc['test']}\ncheck({doc['entry_point']})" for doc in docs]
    assert all(
        passes_all((doc["prompt"] + doc["canonical_solution"], test) for doc, test in zip(docs, tests, strict=True))
    )


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_program(text):
    assert run(f"{text!r}").finished
    assert run(text, seconds=1).ended in ("finished", "failed", "time")


NEVER_PASS = {
    "exit": "import os; os._exit(0)",
    "sys.exit": "import sys; sys.exit(0)",
    "SystemExit": "raise SystemExit(0)",
    "exit of a thread": "import os, threading; threading.Timer(0, os._exit, [0]).start(); input()",
    "abort": "import os; os.abort()",
    "a signal of its own": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "success words": "print('passed', 'ok', True, flush=True); raise SystemExit",
    "interrupt": "raise KeyboardInterrupt",
    "recursion": "def f(): return f()\nf()",
    "input": "input()",
    "no Python": "def f(:",
    "null": "\0",
}


@pytest.mark.parametrize("program", NEVER_PASS.values(), ids=NEVER_PASS)
def test_only_coming_to_the_end_passes(program):
    assert run(program).ended in ("failed", "time")
    assert not passes(program, "assert True")
    assert not passes("pass", program)


def test_environment_and_arguments_say_nothing(monkeypatch):
    monkeypatch.setenv("DUS_SECRET", "secret")
    result = run("import os, sys; assert not os.environ; assert not os.getenv('DUS_SECRET'); assert sys.argv == ['']")
    assert result.finished, result.output


def test_only_the_standard_library_is_there():
    assert run("import collections, dataclasses, decimal, heapq, itertools, json, math, random, re, typing").finished
    for name in ("pytest", "dus", "jail"):
        assert "ModuleNotFoundError" in run(f"import {name}").output


@linux
def test_threads_work_and_are_not_waited_for():
    program = "import threading; t = threading.Thread(target=print, args=('x',)); t.start(); t.join()"
    assert run(program).output == "x\n"
    assert run("import threading, time; threading.Thread(target=time.sleep, args=(99,)).start()").finished


def test_a_module_guard_is_not_run_and_classes_know_their_module():
    assert run("if __name__ == '__main__': raise ValueError").finished
    assert run("import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: 'int'\nassert A(1) == A(1)").finished


def test_hash_order_is_the_same_every_time():
    assert len({run("print(list({'a', 'b', 'c', 'd', 'e', 'f'}))").output for _ in range(3)}) == 1


@pytest.mark.parametrize("broken", ["platform", "executable"])
def test_a_machine_without_a_sandbox_runs_nothing(broken, monkeypatch, request):
    monkeypatch.setattr(sys, *{"platform": ("platform", "win32"), "executable": ("executable", "/bin/false")}[broken])
    sandbox.check.cache_clear()
    request.addfinalizer(sandbox.check.cache_clear)
    with pytest.raises(SandboxError, match="sandbox"):
        passes("x = 1", "")


@linux
def test_where_no_process_can_be_started_that_is_said_and_nothing_stays_open(monkeypatch):
    def refused(*_, **__):
        raise BlockingIOError("Resource temporarily unavailable")

    sandbox.check()
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(sandbox.subprocess, "Popen", refused)
    with pytest.raises(SandboxError, match=r"no process can be started .*temporarily unavailable"):
        passes("x = 1", "")
    assert len(os.listdir("/proc/self/fd")) == len(before)
