"""What a release brings: a small wheel that answers in an environment of its own."""

import subprocess
import sys
import sysconfig
import zipfile

import pytest

from .pages import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def console(wheel, tmp_path_factory):
    """Runs `dus` of an environment that has the wheel, and behind it what the wheel depends on."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    installing = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(list(map(str, installing)), check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*arguments):
        command = [str(folder / "bin/dus"), *arguments]
        environment = {"PATH": str(folder / "bin"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=folder)
        return done.stdout

    return run


def test_the_wheel_is_small_and_whole(wheel):
    assert wheel.stat().st_size < 25e6
    names = set(zipfile.ZipFile(wheel).namelist())
    written = [path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT / "src")) for path in written} <= names


def test_the_wheel_says_its_version(wheel, console):
    assert console("--version") == f"dus {wheel.name.split('-')[1]}\n"


def test_the_wheel_answers(console):
    question = "Tom has 5 apples. Tom buys 7 more. How many apples does Tom have now?"
    assert "12" in console("generate", question, "--max-new-tokens", "32")
