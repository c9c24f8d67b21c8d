"""What real programs can use up in the real sandbox: time, memory, output and files."""

import tempfile
from pathlib import Path

import pytest

from dus.evaluation import sandbox
from dus.evaluation.sandbox import run

from .machines import confined, linux, sandboxed

pytestmark = sandboxed


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


@confined
@pytest.mark.parametrize(
    "program",
    [
        "for n in range(10**6): open(str(n), 'w').write('x' * (4 << 20))",
        "for n in range(10**6): open(str(n), 'w').close()",
    ],
    ids=["bytes", "names"],
)
def test_a_folder_full_of_files_is_stopped(program):
    assert run(program).ended == "files"


@confined
def test_files_without_a_name_hold_little():
    program = """if True:
        import os
        held = []
        try:
            while True:
                held.append(os.open("x", os.O_CREAT | os.O_RDWR))
                os.unlink("x")
                os.ftruncate(held[-1], 4 << 20)
        except OSError:
            print(sum(os.fstat(file).st_size for file in held) >> 20)
    """
    assert 0 < int(run(program).output) <= 96


@confined
def test_one_large_file_fails():
    assert "File too large" in run("with open('x', 'wb') as f:\n    while True: f.write(bytes(1 << 20))").output
