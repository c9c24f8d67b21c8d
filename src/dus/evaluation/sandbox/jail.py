"""The process that an untrusted program runs in: it takes its own rights away, then runs the program.

`dus.evaluation.sandbox` starts this file by its path, with `-S` and an environment of nothing: so it imports the
standard library alone. Its arguments are the descriptor to report on, the seconds of CPU time, the bytes of memory, and
either the folder that the program may write in or nothing, for no writing at all. Its input is the program, whose size
is the last argument, and a token. The token is written to the report once the program has come to its end.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
import types
from collections.abc import Callable
from contextlib import suppress

TOKEN_BYTES = 32
FILE_BYTES = 4 << 20
OPEN_FILES = 24  # times FILE_BYTES is what files may hold that have no name any more

# System calls by what they would let a program do, with their numbers on x86_64 and aarch64.
REFUSED = {
    "network": "socket 41/198 socketpair 53/199",
    "processes": "fork 57/- vfork 58/- execve 59/221 execveat 322/281 unshare 272/97 setns 308/268",
    "other processes": (
        "ptrace 101/117 process_vm_readv 310/270 process_vm_writev 311/271 tkill 200/130 rt_sigqueueinfo 129/138 "
        "rt_tgsigqueueinfo 297/240 setpriority 141/140 sched_setscheduler 144/119 sched_setparam 142/118 "
        "sched_setattr 314/274 sched_setaffinity 203/122 ioprio_set 251/30 migrate_pages 256/238 move_pages 279/239 "
        "kcmp 312/272"
    ),
    "memory beyond the limit, or beyond its life": (
        "memfd_create 319/279 shmget 29/194 msgget 68/186 semget 64/190 mq_open 240/180 add_key 248/217 "
        "request_key 249/218 keyctl 250/219"
    ),
    "attributes of anybody's files, which Landlock leaves alone": (
        "chmod 90/- fchmod 91/52 fchmodat 268/53 chown 92/- lchown 94/- fchown 93/55 fchownat 260/54 utime 132/- "
        "utimes 235/- futimesat 261/- utimensat 280/88 setxattr 188/5 lsetxattr 189/6 fsetxattr 190/7 "
        "removexattr 197/14 lremovexattr 198/15 fremovexattr 199/16 truncate 76/45"
    ),
    "the kernel": (
        "mount 165/40 umount2 166/39 pivot_root 155/41 chroot 161/51 bpf 321/280 perf_event_open 298/241 "
        "userfaultfd 323/282 open_by_handle_at 304/265"
    ),
}
WRITING = (
    "creat 85/- unlink 87/- unlinkat 263/35 rename 82/- renameat 264/38 renameat2 316/276 mkdir 83/- mkdirat 258/34 "
    "rmdir 84/- link 86/- linkat 265/37 symlink 88/- symlinkat 266/36 mknod 133/- mknodat 259/33"
)
# To have signals sent to others when a file is ready: F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP.
SIGNALLING = {"fcntl 72/25": (8, 10, 15), "ioctl 16/29": (0x8901, 0x8902)}
OWN_PROCESS_ONLY = "kill 62/129 tgkill 234/131 prlimit64 302/261"
CLONE, OPEN, OPENAT = "clone 56/220", "open 2/-", "openat 257/56"
# From here on numbers are the same everywhere. What this file does not know, io_uring among it, does not exist.
FIRST_COMMON, CLOSE_RANGE, FACCESSAT2 = 424, 436, 439
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

Instruction = tuple[int, int, int, int]
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, NO_PERMISSION, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x50001, 0x50026


def numbers(text: str, column: int) -> list[int]:
    """The numbers in a text such as `chmod 90/-`, on x86_64 (column 0) or aarch64 (1)."""
    fields = (field.split("/")[column] for field in text.split()[1::2])
    return [int(field) for field in fields if field != "-"]


def filtered(machine: str, pid: int, writable: bool) -> list[Instruction]:
    """The seccomp program: which system calls are refused to the process `pid` on a machine of `MACHINES`."""
    column, architecture = MACHINES[machine]

    def when(text: str, *body: Instruction) -> list[Instruction]:
        return [step for n in numbers(text, column) for step in ((EQUAL, 0, len(body), n), *body)]

    def only(argument: int, *values: int) -> list[Instruction]:
        allowed = [step for value in values for step in ((EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW))]
        return [(LOAD, 0, 0, 16 + 8 * argument), *allowed, (RETURN, 0, 0, NO_PERMISSION)]

    def none_of(argument: int, *values: int) -> list[Instruction]:
        refused = [step for value in values for step in ((EQUAL, 0, 1, value), (RETURN, 0, 0, NO_PERMISSION))]
        return [(LOAD, 0, 0, 16 + 8 * argument), *refused, (RETURN, 0, 0, ALLOW)]

    def unless(argument: int, bits: int) -> list[Instruction]:
        load = (LOAD, 0, 0, 16 + 8 * argument)
        return [load, (ANY_BIT, 0, 1, bits), (RETURN, 0, 0, NO_PERMISSION), (RETURN, 0, 0, ALLOW)]

    program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    for known in (CLOSE_RANGE, FACCESSAT2):
        program += [(EQUAL, 0, 1, known), (RETURN, 0, 0, ALLOW)]
    program += [(AT_LEAST, 0, 1, FIRST_COMMON), (RETURN, 0, 0, NO_SUCH_CALL)]
    for text in REFUSED.values():
        program += when(text, (RETURN, 0, 0, NO_PERMISSION))
    program += when(OWN_PROCESS_ONLY, *only(0, 0, pid))
    for text, commands in SIGNALLING.items():
        program += when(text, *none_of(1, *commands))
    threads = (ANY_BIT, 1, 0, 0x10000)  # CLONE_THREAD: a thread of this process and no process of its own
    program += when(CLONE, (LOAD, 0, 0, 16), threads, (RETURN, 0, 0, NO_PERMISSION), (RETURN, 0, 0, ALLOW))
    if not writable:
        flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        program += when(WRITING, (RETURN, 0, 0, NO_PERMISSION)) + when(OPEN, *unless(1, flags))
        program += when(OPENAT, *unless(2, flags))
    return [*program, (RETURN, 0, 0, ALLOW)]


def _kernel() -> Callable[..., int]:
    """libc's `syscall`, raising OSError; for calls that the standard library has no name for."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long

    def call(number: int, *arguments: int | bytes) -> int:
        given = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        found = libc.syscall(ctypes.c_long(number), *given)
        if found < 0:
            raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
        return found

    return call


def landlock_version() -> int:
    """The version of Landlock that the kernel has switched on, 0 where it has none."""
    try:
        return _kernel()(444, 0, 0, 1) if sys.platform == "linux" else 0
    except OSError:
        return 0


def _only_these_files(call: Callable[..., int], folder: str) -> None:
    """Landlock: Python and its libraries may be read, files in `folder` made, written and deleted, and nothing else.

    Where it knows of signals, none leaves this process.
    """
    execute, write, read, list_folder, delete, make, truncate = 1, 2, 4, 8, 32, 256, 1 << 14
    version = landlock_version()
    handled = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (truncate if version >= 3 else 0)
    signals = 2  # to processes outside
    ruleset = struct.pack("QQQ", handled, 0, signals) if version >= 6 else struct.pack("Q", handled)
    rules = call(444, ruleset, len(ruleset), 0)
    reading, writing = execute | read | list_folder, read | list_folder | write | delete | make | truncate
    allowed = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, "/usr", "/lib", "/lib64"), reading)
    for path, rights in {**allowed, "/dev/null": read | write, "/dev/urandom": read, folder: writing}.items():
        if os.path.exists(path):
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            call(445, rules, 1, struct.pack("=Qi", rights & handled, file), 0)
            os.close(file)
    call(446, rules, 0)
    os.close(rules)


def _confine(folder: str) -> None:
    """On Linux: no privileges, no files, and the filter of system calls, which stays for good.

    Without a folder to write in there is no Landlock: then the filter refuses all writing, and a user namespace of its
    own, where the kernel grants one, keeps this process from reading the environment of its parent under /proc.
    """
    import ctypes

    machine = os.uname().machine
    if machine not in MACHINES:
        raise OSError(f"its filter of system calls knows {' and '.join(MACHINES)}, not {machine}")
    capset, prctl, unshare = ((126, 157, 272), (91, 167, 97))[MACHINES[machine][0]]
    set_parent_death_signal, set_no_new_privileges, set_filter, new_user = 1, 38, 22, 0x10000000
    call = _kernel()
    call(capset, struct.pack("Ii", 0x20080522, 0), bytes(24))  # none, not even for root
    call(prctl, set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    call(prctl, set_no_new_privileges, 1, 0, 0, 0)
    if folder:
        _only_these_files(call, folder)
    else:
        with suppress(OSError):
            call(unshare, new_user)
    program = filtered(machine, os.getpid(), bool(folder))
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    call(prctl, set_filter, 2, struct.pack("HP", len(program), ctypes.addressof(steps)), 0, 0)


def _limit(seconds: int, memory: int) -> None:
    limits = {"CPU": seconds, "FSIZE": FILE_BYTES, "NOFILE": OPEN_FILES, "CORE": 0}
    if sys.platform == "linux":
        limits["AS"] = memory  # macOS has the name and no such limit
    else:
        limits["NPROC"] = 0
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _refusal() -> Callable[[str, tuple[object, ...]], None]:
    """The audit hook against introspection that leads to the token, or lets a program leave out a line of its tests.

    Nothing but the interpreter holds the function, and what it refuses are constants: a program cannot change it.
    """

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        forbidden = event in (
            "cpython.PyInterpreterState_New",  # another interpreter would have no hook
            "gc.get_objects",
            "gc.get_referents",
            "gc.get_referrers",
            "sys._current_exceptions",
            "sys._current_frames",
            "sys.monitoring.register_callback",
            "sys.setprofile",
            "sys.settrace",
        )
        tests_of_python = event == "import" and str(arguments[0]).startswith(("_test", "_xxtest"))
        if forbidden or tests_of_python or event.startswith("ctypes."):
            raise PermissionError(f"{event} is not for programs in the sandbox")

    return refuse


def _ran(program: bytes) -> bytes:
    """Runs the program to its end, or raises what it raises.

    It is a module of a name of its own: its `if __name__ == "__main__"` is not run, and its classes know where they
    are from.
    """
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)
    module = types.ModuleType("program")
    sys.modules["program"] = module
    exec(compile(program.decode(), "<program>", "exec", dont_inherit=True), module.__dict__)
    return b""


def main() -> None:
    """Lock this process in, run the program, report."""
    report, seconds, memory, folder, size = sys.argv[1:]
    os.environ.clear()
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]
    sys.argv[:] = [""]
    program = os.read(0, int(size))
    _limit(int(seconds), int(memory))
    if sys.platform == "linux":
        _confine(folder)
    for name in [name for name in sys.modules if name.lstrip("_").startswith("ctypes")]:
        del sys.modules[name]
    sys.addaudithook(_refusal())
    # While the program runs the token is on this frame's stack of values alone: neither a name nor an attribute leads
    # there, the hook bars gc and ctypes, and both `os.write` and the descriptor have been read before.
    os.write(int(report), os.read(0, TOKEN_BYTES) + _ran(program))
    sys.stdout.flush()
    os._exit(0)  # threads that are left over are not waited for


if __name__ == "__main__":
    main()
