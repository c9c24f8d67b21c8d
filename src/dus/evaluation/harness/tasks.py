"""The benchmarks of the paper and the tasks of `dus.lab.tasks` for lm-eval, from the hub or from local files.

    tasks, manager = load(["gsm8k", "humaneval", "dus_arithmetic_1"], data_dir="data")
    lm_eval.simple_evaluate(model="dus", tasks=tasks, task_manager=manager, confirm_run_unsafe_code=True)

Prompts, stop strings, filters and scorers are lm-eval's own, under its own names. Two things are not: HumanEval and
MBPP run code in this project's sandbox (`tasks_code`), and with a data folder the data sets are read from its files
(`tasks_local.FILES` names them). Each task is an lm-eval config that includes lm-eval's own, so that lm-eval's command
line takes the same ones, by `--include_path`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import lm_eval.tasks
import yaml  # type: ignore[import-untyped]
from lm_eval.tasks import TaskManager

from dus.evaluation.harness import tasks_code, tasks_local
from dus.evaluation.harness.arguments import HarnessError

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import Task

# lm-eval's folders of the paper's seven benchmarks; names of tasks begin with them.
FOLDERS = ("gsm8k", "minerva_math", "humaneval", "mbpp", "bbh", "mmlu_pro", "ifeval")
RUN_CODE = ("humaneval", "mbpp")


class _Function(str):
    """The dotted name of a function or class, as lm-eval's configs refer to one."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))


def load(names: Iterable[str], data_dir: str | Path | None = None) -> tuple[list[Task | Group], TaskManager]:
    """Tasks and groups by name, and a task manager, as `lm_eval.simple_evaluate` takes them.

    Args:
        names: The names of lm-eval's tasks in `FOLDERS`, such as `gsm8k`, `minerva_math500` or `bbh_cot_fewshot`, or of
            `tasks_local.NAMES`.
        data_dir: The folder with the data sets; None is the hub.

    Raises:
        HarnessError: A name is unknown, a data set is not there, or a resource is missing.
    """
    found: list[Task | Group] = []
    wanted = list(names)
    with TemporaryDirectory() as folder:
        write(Path(folder), wanted, data_dir)
        manager = TaskManager(include_defaults=False, include_path=folder)
        for name in wanted:
            try:
                loaded = manager.load([name])
            except OSError as error:
                raise HarnessError(
                    f"the data set of {name} cannot be had from the hub ({_first_line(error)}): name a folder with it"
                ) from None
            found.append(loaded["groups"][name] if name in loaded["groups"] else loaded["tasks"][name])
    return found, manager


def write(folder: Path, names: Iterable[str], data_dir: str | Path | None = None) -> None:
    """Write the configs of tasks, of a group those of its members too, to a folder for lm-eval's `--include_path`.

    Args:
        folder: The folder to write to.
        names, data_dir: The tasks and their data, as for `load`.

    Raises:
        HarnessError: A name is unknown or a resource is missing.
    """
    for name in names:
        config = _config(name, data_dir)
        text = yaml.dump(config, Dumper=_Dumper, allow_unicode=True, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        if "group" in config:
            write(folder, config["task"], data_dir)


def _config(name: str, data_dir: str | Path | None) -> dict[str, Any]:
    if name in tasks_local.NAMES:
        functions = {
            "class": _Function(f"{tasks_local.HERE}Own"),
            "process_results": _Function(f"{tasks_local.HERE}score"),
        }
        return {**tasks_local.config(name), **functions}
    benchmark = next((folder for folder in FOLDERS if name.startswith(folder)), None)
    entry = _index(benchmark).get(name) if benchmark else None
    if entry is None:
        known = ", ".join(known_names())
        raise HarnessError(f"no task {name!r} of the paper's benchmarks or of dus.lab.tasks: there are {known}")
    if "group" in entry.cfg:
        return {key: value for key, value in entry.cfg.items() if key != "tag"}
    if benchmark == "ifeval":
        _need_punkt()
    config = _without_code_eval(entry.cfg) if benchmark in RUN_CODE else {"include": str(entry.yaml_path)}
    if data_dir is not None:
        local = _Function("dus.evaluation.harness.tasks_local.Local")
        config |= {"class": local, "dataset_kwargs": {"data_dir": str(Path(data_dir).absolute())}}
    return config


def known_names() -> list[str]:
    """Every name that `load` takes, without the members of groups."""
    entries = {name: entry for folder in FOLDERS for name, entry in _index(folder).items()}
    members = {member for entry in entries.values() if "group" in (entry.cfg or {}) for member in entry.cfg["task"]}
    theirs = [name for name in entries if name.startswith(FOLDERS) and name not in members]
    return [*sorted(theirs), *tasks_local.NAMES]


@cache
def _index(folder: str) -> dict[str, Any]:
    """lm-eval's index of one of its folders: all of them together take it ten seconds."""
    root = Path(lm_eval.tasks.__file__).parent
    index = TaskManager(include_defaults=False, include_path=root / folder).task_index
    return {name: entry for name, entry in index.items() if "_plus" not in name}  # tests that import numpy


def _without_code_eval(config: dict[str, Any]) -> dict[str, Any]:
    """A config of HumanEval or MBPP with our functions; MBPP's shots are rows of its data set."""

    def ours(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ours(part) for key, part in value.items()}
        if isinstance(value, list):
            return [ours(part) for part in value]
        name = next((ours for theirs, ours in tasks_code.REPLACEMENTS.items() if str(value).endswith(theirs)), None)
        return _Function(tasks_code.HERE + name) if name else value

    found = ours(config)
    if "fewshot_config" in found:
        shots = _Function(f"{tasks_code.HERE}shots")
        found["fewshot_config"] = {"sampler": "first_n", "split": "prompt", "process_docs": shots}
    return found


def _need_punkt() -> None:
    """Look for what IFEval counts sentences with before lm-eval downloads it unasked, or fails at the first score."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        raise HarnessError(
            "IFEval needs nltk's punkt_tab, which is not there: python -m nltk.downloader punkt_tab"
        ) from None


def _first_line(error: OSError) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
