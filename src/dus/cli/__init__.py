"""The command line: one file for each command, and `main`, which turns every known failure into one line."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any, TextIO

BAD_INPUT, INTERRUPTED = 2, 130


class InputError(ValueError):
    """Something that was asked of a command and cannot be done; the message says what would be right."""


def main(arguments: list[str] | None = None) -> int:
    """Run `dus`; the console script of that name.

    Args:
        arguments: The arguments of the command line; None takes those of the process.

    Returns:
        The exit code: 0, 2 on bad input, 130 where the user interrupts.
    """
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read the output has seen enough
        return 1
    return code


def _run(arguments: list[str] | None) -> int:
    from dus.cli.app import app

    _survive_unknown_characters()
    try:
        with warnings.catch_warnings():
            _silence_libraries()
            return app(arguments, prog_name="dus", standalone_mode=False) or 0
    except BrokenPipeError:
        raise
    except Exception as error:
        problem = _problem(error)
        if problem is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands, called without one of them
            print(problem)  # noqa: T201
            return 0
        print("dus:", " ".join(problem.split()), file=sys.stderr)  # noqa: T201
        return BAD_INPUT


def _problem(error: Exception) -> str | None:
    """What the user can put right; None where the error is a bug."""
    import typer

    if isinstance(error, typer.TyperException):
        return _with_name_here(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, ValueError) and type(error).__module__.partition(".")[0] == "dus":
        return str(error)  # each room has its own kind of ValueError for bad input
    if type(error).__name__ == "OutOfMemoryError":  # torch's, and torch may not be imported
        return "the device is out of memory: fewer answers at once or fewer new tokens need less"
    return None


def _with_name_here(error: Any) -> str:
    """A message of the command line's; of an option that there is not, under which name there is one."""
    option = getattr(error, "option_name", None)
    if option is None or error.ctx is None:
        return str(error.format_message())
    from dus.writing.synonyms import meant

    options = {param.name: param.opts[-1] for param in error.ctx.command.params if param.param_type_name == "option"}
    told = meant(option, {**options, "pretrained": "--model"})
    if told and any(name in told for name in options.values()):
        return f"No such option: {option}: {told}."
    return str(error.format_message())


def _silence_libraries() -> None:
    """Keep from the user what libraries say to developers, and say a warning of our own in one line.

    torchao, which transformers imports where it is installed, names the kernels for other GPUs that it cannot load, and
    torch comments on torchao.
    """
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category.__module__.partition(".")[0] == "dus":
            print("dus:", message, file=sys.stderr)  # noqa: T201
        elif "Int8Tensor" not in str(message):  # torch, compiling a quantized model, on how torchao could help it
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def _survive_unknown_characters() -> None:
    """Let what a terminal's encoding lacks come out escaped, not as an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
