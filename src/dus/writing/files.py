"""Files that appear when they are whole, and folders that one process fills at a time."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path of the same ending to write to, which becomes `path` where nothing goes wrong.

    The folder is made if need be; where something goes wrong, what was written is gone and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a text file; it is whole, or not there."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


class LockedError(ValueError):
    """Another process fills the folder; the message names it."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from filling a folder, which is made if need be, until this one is done, or killed.

    Raises:
        LockedError: Another process does so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read() or "another process"
            raise LockedError(f"{folder} is being filled by {other}: wait for it, or name another folder") from None
        except OSError as error:  # some file systems of networks have no locks
            warnings.warn(f"{folder} cannot be locked ({error}): start nothing else there", stacklevel=3)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield
