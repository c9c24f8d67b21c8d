"""What untrusted programs can and cannot do: each of these is a real program in the real sandbox."""

import json
import os
import re
import socket
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.tasks import sandbox
from dus.tasks.sandbox import SandboxError, jail, passes, passes_all, run

linux = pytest.mark.skipif(sys.platform != "linux", reason="a guarantee on Linux only")
confined = pytest.mark.skipif(jail.landlock_version() == 0, reason="needs Landlock")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no sandbox on Windows")

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


@linux
@pytest.mark.parametrize(
    "program",
    [
        "x = 'x' * 10**10",
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "import mmap\ntry: mmap.mmap(-1, 1 << 33)\nexcept OSError: raise MemoryError",
    ],
    ids=["one string", "many", "a mapping"],
)
def test_memory_ends(program):
    assert "MemoryError" in run(program).output


REFUSED = {
    "fork": "os.fork()",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "subprocess": "__import__('subprocess').run(['/bin/true'])",
    "exec": "os.execv('/bin/true', ['true'])",
    "a session without its parent": "os.fork() or os.setsid() or os.fork()",
    "kill": "os.kill(os.getppid(), 9)",
    "kill everything": "os.kill(-1, 9)",
    "limits of others": "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))",
    "priority of others": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "a higher limit": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (99, 99))",
    "socket": "__import__('socket').socket()",
    "local socket": "__import__('socket').socket(__import__('socket').AF_UNIX)",
    "truncate": "os.truncate('HARM', 0)",
    "delete": "os.unlink('HARM')",
    "write": "open('HARM', 'w')",
    "append": "open('HARM', 'a')",
    "rename": "os.rename('HARM', 'HARM.old')",
    "link": "os.link('HARM', 'mine')",
    "symbolic link": "os.symlink('HARM', 'mine')",
    "mode": "os.chmod('HARM', 0)",
    "mode by descriptor": "os.fchmod(os.open(os.path.dirname(os.__file__), os.O_RDONLY), 0o755)",
    "times": "os.utime('HARM')",
    "owner": "os.chown('HARM', 0, 0)",
    "delete a folder": "os.rmdir('EMPTY')",
    "make beside": "open('EMPTY/new', 'w')",
    "make a folder": "os.mkdir('new')",
    "the working folder": "os.rmdir(os.getcwd())",
    "shared memory": "__import__('multiprocessing.shared_memory').shared_memory.SharedMemory(create=True, size=9)",
    "anonymous file": "os.memfd_create('x')",
    "environment of the parent": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "memory of the parent": "open(f'/proc/{os.getppid()}/mem', 'rb').read()",
}


@linux
@pytest.mark.parametrize("files", ["landlock", "no landlock"])
@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED)
def test_refused_and_nothing_is_harmed(attempt, files, tmp_path, monkeypatch):
    if files == "no landlock":
        monkeypatch.setattr(sandbox, "_writable", lambda: False)
    elif jail.landlock_version() == 0:
        pytest.skip("needs Landlock")
    kept, empty = tmp_path / "kept", tmp_path / "empty"
    kept.write_text("kept")
    empty.mkdir()
    before = kept.stat()
    attempt = attempt.replace("HARM", str(kept)).replace("EMPTY", str(empty))
    # ValueError is what the resource module makes of a limit that is not to be raised.
    refused = "ValueError, PermissionError) as e: pass\nexcept OSError as e: assert e.errno == errno.EXDEV"
    result = run(f"import errno, os\ntry:\n    {attempt}\nexcept ({refused}\nelse: raise SystemExit")
    assert result.finished, result.output
    after = kept.stat()
    assert after.st_ctime_ns == before.st_ctime_ns  # neither content, mode, owner, times nor links
    assert kept.read_text() == "kept"
    assert list(empty.iterdir()) == []


@linux
def test_a_listening_neighbour_is_not_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        result = run(f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))")
        assert "PermissionError" in result.output
        with pytest.raises(BlockingIOError):
            server.accept()


@confined
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/maps", "/tmp", "/home", str(Path(__file__).parent)])
def test_files_of_others_are_not_read(path):
    look = f"import os; os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r})"
    assert "PermissionError" in run(look).output


@confined
def test_the_working_folder_is_empty_private_and_gone_afterwards():
    look = "import os; assert os.listdir() == []; open('mine', 'w').write('x'); print(os.getcwd()); os.unlink('mine')"
    keep = "import os; assert os.listdir() == []; open('mine', 'w').write('x'); print(os.getcwd())"
    results = [run(look), run(keep), run(keep)]
    assert all(result.finished for result in results)
    folders = {Path(result.output.strip()) for result in results}
    assert len(folders) == 3
    for folder in folders:
        assert folder.parent == Path(tempfile.gettempdir()).resolve()
        assert not folder.exists()


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


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
        "import time\nwhile True:\n    try: time.sleep(99)\n    except BaseException: pass",
    ],
    ids=["loop", "ignored signals", "sleep"],
)
def test_out_of_time(program):
    assert run(program, seconds=0.5).ended == "time"


def test_endless_output_is_drained_and_cut():
    result = run("import os\nwhile True: os.write(1, b'x' * 100000)", seconds=0.5)
    assert result.ended == "time"
    assert result.output == "x" * sandbox.KEPT_OUTPUT


def test_much_output_is_no_failure():
    assert run("for _ in range(200): print('x' * 100000)").finished


@confined
@pytest.mark.parametrize(
    "program",
    [
        "for n in range(10**6): open(str(n), 'w').write('x' * (8 << 20))",
        "for n in range(10**6): open(str(n), 'w').close()",
    ],
    ids=["bytes", "names"],
)
def test_a_folder_full_of_files_is_stopped(program):
    assert run(program).ended == "files"


@confined
def test_one_large_file_fails():
    assert "File too large" in run("with open('x', 'wb') as f:\n    while True: f.write(bytes(1 << 20))").output


# What a program can reach of the wrapper that it runs in, to find the token or to leave tests out.
FORGERIES = {
    "descriptors": """
        import os
        found = [b"passed"]
        for fd in [0, *range(3, 64)]:
            try: found.append(os.read(fd, 32))
            except OSError: pass
        for fd in range(3, 64):
            for value in found:
                try: os.write(fd, value)
                except OSError: pass
        os._exit(0)""",
    "frames": """
        import os, sys
        frame = sys._getframe()
        found = []
        while frame:
            found += [v for v in [*frame.f_locals.values(), *frame.f_globals.values()] if isinstance(v, bytes)]
            report = frame.f_locals.get("report")
            frame = frame.f_back
        for value in found:
            if len(value) == 32: os.write(int(report), value)
        os._exit(0)""",
    "frames, through gc": """
        import gc, os, sys
        frame = sys._getframe()
        while frame:
            for value in gc.get_referents(frame):
                if isinstance(value, bytes) and len(value) == 32: os.write(int(frame.f_locals["report"]), value)
            frame = frame.f_back
        os._exit(0)""",
    "the hook first": """
        import gc, os, sys
        main = sys.modules["__main__"]
        main._refusal.__code__ = (lambda: lambda event, arguments: None).__code__
        vars(main).update(_refusal=None)
        frame = sys._getframe()
        while frame:
            for value in gc.get_referents(frame):
                if isinstance(value, bytes) and len(value) == 32: os.write(int(frame.f_locals["report"]), value)
            frame = frame.f_back
        os._exit(0)""",
    "the wrapper again": """
        import os, sys
        sys.argv = ["", "3", "3", "9999999999", "", "0"]
        sys.modules["__main__"].main()""",
    "memory": """
        for kind in object.__subclasses__():
            if kind.__name__ == "_CData":
                [simple] = [sub for sub in kind.__subclasses__() if sub.__name__ == "_SimpleCData"]
                [sub for sub in simple.__subclasses__() if sub.__name__ == "c_char"][0].from_address(id(simple))
                raise SystemError("memory was read")""",
    "jump": """
        import sys
        def trace(frame, event, argument):
            if frame.f_lineno < 9: frame.f_lineno = 9
            return trace
        sys._getframe().f_trace = trace
        sys.settrace(trace)""",
    "exit handlers": "import atexit, os; atexit.register(os._exit, 0); atexit.register(print, 'passed')",
    "a backslash": "if 0: \\",
    "an open string": "x = '''",
    "a replaced assertion": "import builtins; builtins.AssertionError = builtins.exec = builtins.compile = print",
    "a with": "import contextlib\nwith contextlib.suppress(AssertionError): \\",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_failing_test_is_not_made_to_pass(code):
    assert not passes(textwrap.dedent(code), "assert False")


@pytest.mark.parametrize("name", ["memory", "frames, through gc", "the hook first", "jump"])
def test_introspection_is_what_is_refused(name):
    assert "is not for programs in the sandbox" in run(textwrap.dedent(FORGERIES[name])).output


# An independent reading of the filter: a small machine for its instructions, and the numbers of the C headers.


def verdict(filtered, number, *arguments, architecture):
    """What the kernel does with a call: 'allow', 'refuse' or 'kill'."""
    data = {0: number, 4: architecture, **{16 + 8 * n: value for n, value in enumerate((*arguments, 0, 0, 0)[:6])}}
    at, loaded = 0, 0
    while True:
        code, yes, no, k = filtered[at]
        at += 1
        if code == 0x20:
            loaded = data[k]
        elif code == 0x06:
            return {0x7FFF0000: "allow", 0x80000000: "kill"}.get(k, "refuse")
        else:
            at += yes if {0x15: loaded == k, 0x35: loaded >= k, 0x45: bool(loaded & k)}[code] else no


def header(machine):
    path = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}
    if not Path(path[machine]).exists():
        pytest.skip(f"there is no {path[machine]}")
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(path[machine]).read_text(encoding="utf-8"))
    return {name: int(number) for name, number in reversed(pairs)}


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("machine", jail.MACHINES)
def test_the_filter_refuses_what_it_names(machine, writable):
    calls = header(machine)
    column, architecture = jail.MACHINES[machine]
    texts = [*jail.REFUSED.values(), jail.WRITING, jail.OWN_PROCESS_ONLY, jail.CLONE, jail.OPEN, jail.OPENAT]
    for name, numbers in re.findall(r"(\w+) (\S+)", " ".join(texts)):
        assert numbers.split("/")[column] == str(calls.get(name, "-")), name
    filtered = jail.filtered(machine, 1234, writable)

    def said(name, *arguments):
        return verdict(filtered, calls[name], *arguments, architecture=architecture)

    def said_of(text):
        return {said(name) for name in text.split()[::2] if name in calls}

    files = "allow" if writable else "refuse"
    assert {answer for text in jail.REFUSED.values() for answer in said_of(text)} == {"refuse"}
    assert said_of(jail.WRITING) == {files}
    assert [said("openat", 0, 0, flags) for flags in (os.O_RDONLY, os.O_WRONLY, os.O_CREAT)] == ["allow", files, files]
    assert [said("kill", pid) for pid in (1234, 0, 1, 2**32 - 1)] == ["allow", "allow", "refuse", "refuse"]
    assert [said("clone", flags) for flags in (0x10000 | 0x100, 0x11)] == ["allow", "refuse"]
    assert {said(name) for name in ("read", "write", "mmap", "futex", "exit_group", "close_range")} == {"allow"}
    assert {said(name) for name in ("io_uring_setup", "clone3", "openat2", "pidfd_open")} == {"refuse"}
    assert verdict(filtered, calls["read"], architecture=0x40000003) == "kill"


@pytest.mark.parametrize("broken", ["platform", "executable"])
def test_a_machine_without_a_sandbox_runs_nothing(broken, monkeypatch):
    monkeypatch.setattr(sys, *{"platform": ("platform", "win32"), "executable": ("executable", "/bin/false")}[broken])
    sandbox.check.cache_clear()
    with pytest.raises(SandboxError, match="sandbox"):
        passes("x = 1", "")
    sandbox.check.cache_clear()
