"""Runs Python that a model wrote, in a process of its own that can do no harm. Standard library only.

    if passes("def add(a, b):\n    return a + b", "assert add(1, 2) == 3"): ...

What holds on Linux (x86_64, aarch64; seccomp), for root as for anybody, and in containers:

- no more CPU time, memory, open files, file size and output than the limits; twice the CPU time on the clock, then it
  is killed, and no signal that it ignores helps it;
- no other process: neither started nor signalled, traced or given limits; so nothing survives the run. Threads work;
- no network: no socket of any kind is made;
- no privileges: root's capabilities are dropped;
- an empty environment, an empty input, the standard library and no other package;
- with Landlock (Linux 5.13 on, where it is switched on): it reads Python, the system's libraries and an empty working
  folder, and can write and delete files in that folder alone, which is flat, limited in size, and removed afterwards.
  Without it the program can write and delete nothing at all, its folder included, but can read what the user can; where
  user namespaces are not granted either, that includes the environment of the calling process under /proc.

macOS has limits on CPU time, files and processes, the empty environment and the clock, but none on memory, on reading
and writing the user's files or on the network: run code there that you would run yourself. On other systems
`SandboxError` says so.

A program passes when it comes to its end: an exit, whatever its code, does not, nor does anything it prints. It ends by
returning a random token that no name, frame or attribute leads to while it runs, and introspection that would is
refused. Two things remain. Tests run in one interpreter with the code they test, so code may read them, or make them
mean something else, say by returning an object that equals everything: that is so wherever tests are appended to code.
And who attacks the interpreter itself, through crafted bytecode, can forge a verdict, though still harm nothing.
"""

from __future__ import annotations

import math
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

from dus.evaluation.sandbox import jail

SECONDS = 3.0
MEMORY = 512 << 20
KEPT_OUTPUT = 1 << 16
MOST_FILES, MOST_BYTES = 256, 64 << 20
TICK = 0.05


class SandboxError(ValueError):
    """This machine cannot run untrusted code; the message says why."""


@dataclass(frozen=True)
class Result:
    """How a program ended.

    Attributes:
        ended: How it ended: `finished` at its end, `failed` if it raised, exited or died, `time` if it ran out of time,
            or `files` if it wrote too much.
        output: The first 64 KiB of what it printed and of its traceback.
    """

    ended: Literal["finished", "failed", "time", "files"]
    output: str

    @property
    def finished(self) -> bool:
        """Whether the program came to its end."""
        return self.ended == "finished"


def run(program: str, *, seconds: float = SECONDS, memory: int = MEMORY) -> Result:
    """Run a program to its end, at most `seconds` of CPU time (rounded up to whole ones) and twice that on the clock.

    Any text is a program: one that is not Python fails. `memory` is address space, in bytes.

    Raises:
        SandboxError: The machine cannot run untrusted code.
    """
    check()
    return _run(program, seconds, memory)


def passes(code: str, tests: str, *, seconds: float = SECONDS) -> bool:
    """Whether `code` with `tests` below it runs to its end; the rest as in `run`."""
    # The empty line ends code that ends in a backslash: "if 0: \\" would leave out the first test.
    return run(f"{code}\n\n{tests}", seconds=seconds).finished


def passes_all(pairs: Iterable[tuple[str, str]], *, seconds: float = SECONDS, workers: int | None = None) -> list[bool]:
    """`passes` for each pair of code and tests, `workers` (default: one for each processor) of them at a time."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(lambda pair: passes(*pair, seconds=seconds), pairs))


@cache
def check() -> None:
    """Returns where this machine can run untrusted code.

    Raises:
        SandboxError: It cannot.
    """
    if sys.platform not in ("linux", "darwin"):
        raise SandboxError(f"the code sandbox works on Linux and macOS, not on {sys.platform}: score code there")
    result = _run("", SECONDS, MEMORY)
    if not result.finished:
        last = result.output.strip().rpartition("\n")[2] or result.ended
        raise SandboxError(f"the code sandbox does not work on this machine, so that no code is run ({last})")


@cache
def _writable() -> bool:
    return sys.platform != "linux" or jail.landlock_version() > 0


def _run(program: str, seconds: float, memory: int) -> Result:
    token = secrets.token_bytes(jail.TOKEN_BYTES)
    source = program.encode("utf-8", "replace")
    with (
        tempfile.TemporaryDirectory(prefix="dus-sandbox-") as folder,
        _started(source, token, folder, math.ceil(seconds), memory) as (child, report),
    ):
        told, printed, stopped = _watched(child, report, folder, 2 * seconds)
    ended = stopped or ("time" if child.returncode == -signal.SIGKILL else "failed")
    return Result("finished" if told == token else ended, printed.decode("utf-8", "replace"))


@contextmanager
def _started(
    program: bytes, token: bytes, folder: str, seconds: int, memory: int
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, and the descriptor where it reports; it is dead afterwards."""
    where = folder if _writable() else ""
    with tempfile.TemporaryFile() as given:
        given.write(program + token)
        given.seek(0)
        report, told = os.pipe()
        settings = [str(told), str(seconds), str(memory), where, str(len(program))]
        try:
            child = subprocess.Popen(
                [sys.executable, "-s", "-S", "-B", "-X", "utf8", jail.__file__, *settings],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"PYTHONHASHSEED": "0"},  # the same program, the same verdict
                pass_fds=(told,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(report)
            raise SandboxError(f"no process can be started to run a program in: {error}") from error
        finally:
            os.close(told)
    try:
        with child:
            try:
                yield child, report
            finally:
                with suppress(ProcessLookupError, PermissionError):  # it is dead; macOS says the latter
                    os.killpg(child.pid, signal.SIGKILL)
    finally:
        os.close(report)


def _watched(
    child: subprocess.Popen[bytes], report: int, folder: str, seconds: float
) -> tuple[bytes, bytes, Literal["time", "files"] | None]:
    """What the process reported and what it printed, the beginning of it, and why it has to be stopped, if it has."""
    assert child.stdout is not None
    deadline = time.monotonic() + seconds
    printed = child.stdout.fileno()
    read = {report: b"", printed: b""}
    with selectors.DefaultSelector() as selector:
        for stream in read:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() > deadline:
                return read[report], read[printed], "time"
            if _overfull(folder):
                return read[report], read[printed], "files"
            for key, _ in selector.select(TICK):
                piece = os.read(key.fd, KEPT_OUTPUT)
                read[key.fd] += piece[: KEPT_OUTPUT - len(read[key.fd])]
                if not piece:
                    selector.unregister(key.fd)
    return read[report], read[printed], None


def _overfull(folder: str) -> bool:
    size = 0
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            with suppress(FileNotFoundError):  # deleted meanwhile
                size += entry.stat(follow_symlinks=False).st_size
            if count >= MOST_FILES or size > MOST_BYTES:
                return True
    return False
