"""An autoregressive model's accuracy, from a results file of lm-eval's own model `hf`, as a line to compare with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dus.evaluation.cells import SweepError
from dus.evaluation.intervals import Interval


@dataclass(frozen=True)
class Reference:
    """How well a model does on a task.

    Attributes:
        model: The name of the model.
        task: The name of lm-eval's task.
        score: The score, 0 to 1, with 1.96 of lm-eval's standard errors to either side.
    """

    model: str
    task: str
    score: Interval


def read(path: Path) -> list[Reference]:
    """A reference for each task of a file that `lm_eval --model hf --output_path …` wrote; the first metric counts.

    Raises:
        SweepError: It is no such file, or another model's.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        source = found["config"]["model"]
        name = str(found.get("model_name") or source)
        references = [Reference(name, task, _score(metrics)) for task, metrics in found["results"].items()]
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
        raise SweepError(f"{path} is no results file of lm-eval ({error})") from None
    if source not in ("hf", "hf-auto", "huggingface"):
        raise SweepError(f"{path} is of lm-eval's model {source!r}: the reference line is for its model 'hf'")
    return references


def _score(metrics: dict[str, object]) -> Interval:
    """The first metric that has a standard error, such as `exact_match,strict-match`."""
    errors = {name: name.replace(",", "_stderr,", 1) for name in metrics if "," in name}
    name = next(name for name, error in errors.items() if error in metrics)
    score, error = metrics[name], metrics[errors[name]]
    spread = 1.96 * error if isinstance(error, int | float) else float("nan")  # "N/A" where there is none
    value = float(score)  # type: ignore[arg-type]
    return Interval(value, value - spread, value + spread)
