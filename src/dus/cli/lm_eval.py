"""`dus lm-eval`: lm-eval's own command line, which here knows the model `dus` and runs no code outside the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import filter as matching
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError

if TYPE_CHECKING:
    from argparse import Namespace

COMMANDS = ("run", "ls", "validate")


def lm_eval(
    context: typer.Context,
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the data sets of the paper's benchmarks.", show_default="the hub")
    ] = None,
) -> None:
    """Evaluate on the tasks of lm-evaluation-harness.

    This is its own command line, with the model dus where none is named. All other options are lm-eval's; "lm-eval run
    --help" lists them. The arguments of the model are those of dus.generate and dus.load, and ";" separates the fields
    of a planner:

    dus lm-eval --tasks gsm8k --model_args "planner=dus(base=4;order=random),block_length=16"
    """
    if not context.args:
        typer.echo(context.get_help())
        return
    if find_spec("lm_eval") is None:
        raise InputError("lm-eval is not installed: pip install 'dus-lm[eval]'")
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    import dus.evaluation.harness  # noqa: F401 (makes the model known)

    setup_logging()
    with _spoken(), TemporaryDirectory() as folder:
        harness = HarnessCLI()
        arguments = _parsed(harness, context.args)
        if arguments.command == "run":
            _complete(arguments, data_dir, Path(folder))
        elif data_dir is not None:
            raise InputError(f"--data-dir goes with an evaluation, and {arguments.command} makes none")
        harness.execute(arguments)


def _parsed(harness: Any, arguments: list[str]) -> Namespace:
    """What lm-eval reads in the arguments, which it looks for among those of the process."""
    before = sys.argv
    sys.argv = ["lm-eval", *([] if arguments[0] in COMMANDS else ["run"]), *arguments]
    try:
        return harness.parse_args()
    finally:
        sys.argv = before


def _complete(arguments: Namespace, data_dir: Path | None, folder: Path) -> None:
    """Name the model where nobody does, and put our form of the tasks, written to a folder, in lm-eval's place."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from dus.evaluation.harness.tasks import known_names, write

    config = EvaluatorConfig.load_yaml_config(arguments.config) if arguments.config else {}
    arguments.model = arguments.model or config.get("model") or "dus"
    if arguments.model == "dus":
        _seed(arguments, config)
    asked = arguments.tasks or config.get("tasks") or []
    names = [name for part in ([asked] if isinstance(asked, str) else asked) for name in str(part).split(",")]
    if not names:
        raise InputError("no task is named: --tasks gsm8k, say")
    known = known_names()
    ours = {name for pattern in names for name in matching(known, pattern)}
    if data_dir is not None:
        ours |= {name for name in names if not matching(known, name) and not name.endswith(".yaml")}
    if not ours:
        return
    if arguments.include_path or config.get("include_path"):
        raise InputError(f"--include_path does not go together with {min(ours)}: evaluate on them one after the other")
    write(folder, sorted(ours), data_dir)
    arguments.include_path = str(folder)


def _seed(arguments: Namespace, config: dict[str, Any]) -> None:
    """Have lm-eval's seed for torch draw tokens here too, where the model's own arguments say no seed."""
    seeds = arguments.seed or config.get("seed")
    drawn = seeds[2] if isinstance(seeds, list) and len(seeds) > 2 else seeds
    given = getattr(arguments, "model_args", None) or config.get("model_args") or {}
    if isinstance(drawn, int) and isinstance(given, dict) and "seed" not in given:
        arguments.model_args = {**given, "seed": drawn}


@contextmanager
def _spoken() -> Iterator[None]:
    """What lm-eval's command line refuses, in the form of every refusal here."""
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise InputError(stop.code) from None
        raise typer.Exit(stop.code or 0) from None
    except ValueError as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or trace.tb_frame.f_globals["__name__"] != "lm_eval.config.evaluate_config":
            raise
        raise InputError(str(error)) from None
