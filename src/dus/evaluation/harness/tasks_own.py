"""The held-out problems of `dus.lab.tasks` as lm-eval tasks: `dus_arithmetic_1`, `dus_code_3` and so on."""

from __future__ import annotations

import re
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from dus.evaluation.tasks import LEVELS, TASKS, Problem, get

HERE = "dus.evaluation.harness.tasks_own."
NAMES = tuple(f"dus_{task}_{level}" for task in TASKS for level in LEVELS)


class Own(ConfigurableTask):
    """A level of a task: its smaller held-out set, each question a prompt of its own, scored by the task."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

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
