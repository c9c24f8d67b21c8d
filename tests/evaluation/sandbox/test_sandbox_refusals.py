"""What real programs cannot do in the real sandbox: harm others, read what is theirs, forge a verdict."""

import os
import re
import socket
import textwrap
from pathlib import Path

import pytest

from dus.evaluation import sandbox
from dus.evaluation.sandbox import jail, passes, run

from .machines import confined, linux, sandboxed

pytestmark = sandboxed

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
    "a signal when a file is ready": "__import__('fcntl').fcntl(os.pipe()[0], 8, os.getppid())",
    "that signal's number": "__import__('fcntl').fcntl(os.pipe()[0], 10, 9)",
    "that signal, by ioctl": "__import__('fcntl').ioctl(os.pipe()[0], 0x8901, os.getppid().to_bytes(4, 'little'))",
    "socket": "__import__('socket').socket()",
    "pair of sockets": "__import__('socket').socketpair()",
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


def test_no_other_interpreter_is_started():
    names = "try: import _xxsubinterpreters as other\nexcept ImportError: import _interpreters as other\n"
    assert run(f"{names}try: other.create()\nexcept RuntimeError: pass\nelse: raise SystemExit").finished
    assert "PermissionError" in run("import _testcapi").output


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
    texts += jail.SIGNALLING
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
    assert [said("fcntl", 0, command) for command in (1, 4, 8, 10, 15)] == ["allow", "allow", *["refuse"] * 3]
    assert [said("ioctl", 0, command) for command in (0x5401, 0x8901, 0x8902)] == ["allow", "refuse", "refuse"]
    assert [said("clone", flags) for flags in (0x10000 | 0x100, 0x11)] == ["allow", "refuse"]
    assert {said(name) for name in ("read", "write", "mmap", "futex", "exit_group", "close_range")} == {"allow"}
    assert {said(name) for name in ("io_uring_setup", "clone3", "openat2", "pidfd_open")} == {"refuse"}
    assert verdict(filtered, calls["read"], architecture=0x40000003) == "kill"
