"""lm-eval's tasks on files of a data folder, and the held-out problems of `dus.lab.tasks` as tasks of lm-eval.

The latter are called `dus_arithmetic_1`, `dus_code_3` and so on.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from dus.evaluation.harness.arguments import HarnessError
from dus.evaluation.tasks import LEVELS, TASKS, Problem, get

HERE = "dus.evaluation.harness.tasks_local."
NAMES = tuple(f"dus_{task}_{level}" for task in TASKS for level in LEVELS)


# For each data set, by its id on the hub, the file of each split; `{name}` is the subset. Files have the hub's columns.
FILES = {
    "openai/gsm8k": {"train": "gsm8k_train.jsonl", "test": "gsm8k_test.jsonl"},
    "HuggingFaceH4/MATH-500": {"test": "math500.jsonl"},
    "openai/openai_humaneval": {"test": "humaneval.jsonl"},
    "google-research-datasets/mbpp": {"prompt": "mbpp.jsonl", "test": "mbpp.jsonl"},
    "google/IFEval": {"train": "ifeval.jsonl"},
    "SaylorTwift/bbh": {"test": "bbh/{name}.json"},
    "TIGER-Lab/MMLU-Pro": {"validation": "mmlu_pro_validation.jsonl", "test": "mmlu_pro_test.jsonl"},
}
MBPP_TASKS = {"prompt": range(1, 11), "test": range(11, 511)}  # task_id


class Local(ConfigurableTask):
    """One of lm-eval's tasks whose data set is read from the folder `data_dir` of the config's `dataset_kwargs`.

    Raises:
        HarnessError: A file is missing or damaged, or the folder has no place for the data set.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Read the splits that the task needs."""
        folder = (dataset_kwargs or {})["data_dir"]
        config = self.config
        splits = (config.training_split, config.validation_split, config.test_split, self.fewshot_cfg.split)
        self.dataset = {split: read(folder, self.DATASET_PATH, self.DATASET_NAME, split) for split in splits if split}


@lru_cache(maxsize=64)
def read(folder: str, hub_id: str, name: str | None, split: str) -> datasets.Dataset:
    """A split of a data set, from its file in `folder`.

    Raises:
        HarnessError: A file is missing or damaged, or a folder has no place for the data set.
    """
    if split not in FILES.get(hub_id, {}):
        raise HarnessError(f"a data folder has no file for {hub_id} ({split}): leave out the folder to use the hub")
    path = Path(folder) / FILES[hub_id][split].format(name=name)
    if not path.is_file():
        raise HarnessError(f"{path} is missing: that is where {hub_id} ({split}) is looked for")
    rows = _rows(path)
    if hub_id.endswith("/mbpp"):
        rows = [row for row in rows if row.get("task_id") in MBPP_TASKS[split]]
    if not rows:
        raise HarnessError(f"{path} has nothing of {hub_id} ({split})")
    return datasets.Dataset.from_list(rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)["examples"] if path.suffix == ".json" else list(map(json.loads, text.splitlines()))
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{path} is damaged ({error}): fetch it again") from None
    if not all(isinstance(row, dict) for row in found):
        raise HarnessError(f"{path} is damaged (a line is not an object): fetch it again")
    return found


class Own(Local):
    """A level of a task: its smaller held-out set, each question a prompt of its own, scored by the task."""

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """The held-out problems, one row each."""
        name, level = _parts(self.config.task)
        fields = [{**vars(problem), "task": name} for problem in get(name).held_out(level)]
        self.dataset = {"test": datasets.Dataset.from_list(fields)}


def config(name: str) -> dict[str, Any]:
    """The lm-eval config of a name of `NAMES`, without its functions `class` and `process_results`."""
    task, level = _parts(name)
    unit = get(task).unit
    return {
        "task": name,
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "question",
        "doc_to_target": "solution",
        "num_fewshot": 0,
        "unsafe_code": get(task).runs_code,
        "generation_kwargs": {"until": [], "max_gen_toks": get(task).answer_tokens[level], "do_sample": False},
        "metric_list": [{"metric": unit, "aggregation": "mean", "higher_is_better": unit == "right"}],
        "metadata": {"version": 1.0},
    }


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The task's score of an answer, by the name of its unit."""
    task = get(doc["task"])
    problem = Problem(doc["question"], doc["solution"], doc["answer"], doc["level"])
    return {task.unit: float(task.score(problem, results[0]))}


def _parts(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"dus_(\w+)_([0-9]+)", name)
    assert found is not None, name
    return found[1], int(found[2])
