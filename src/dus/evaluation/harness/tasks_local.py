"""lm-eval's tasks on local files: what stands in a data folder, and a task that reads it in the hub's place."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from dus.evaluation.harness.reading import HarnessError

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
        raise HarnessError(f"{path} is damaged (a line is no object): fetch it again")
    return found
