"""Traces in files: what `dus analyze` keeps of a run, and what `dus generate` and `dus compare` print as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dus.evaluation.spacing import AnalysisError
from dus.lab.analysis.traced import DIGITS, Answer, Traced
from dus.writing.colours import pieces
from dus.writing.files import write

FORMAT = "dus traces 1"


def save(path: Path, runs: list[Traced]) -> None:
    """Write traces as JSON, under a temporary name until all is written."""
    record = {"format": FORMAT, "runs": [_as_record(run) for run in runs]}
    write(path, json.dumps(record, allow_nan=False))


def load(path: Path) -> list[Traced]:
    """The traces in a file: of `save`, or JSON that `dus generate` or `dus compare` wrote, a document or one a line.

    The commands' own JSON holds no scores, and token ids in place of text: `spelled` reads these.

    Raises:
        AnalysisError: the file holds no trace; the message says what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise AnalysisError(f"{path} is no UTF-8 text, and so no trace") from None
    try:
        records = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise AnalysisError(f"{path} is no valid JSON: {error}") from None
    try:
        if len(records) == 1 and isinstance(records[0], dict) and "format" in records[0]:
            runs = _own(records[0])
        else:
            runs = _of_commands(records)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise AnalysisError(
            f"{path} is not a trace ({_reason(error)}): traces are written by `dus analyze --out`, and by --json of "
            "`dus generate` and `dus compare`"
        ) from None
    if not runs:
        raise AnalysisError(f"{path} holds no answers")
    return runs


def is_trace(path: Path) -> bool:
    """Whether a file of JSON is meant as a trace, not as prompts: it has a list that only traces have."""
    if path.suffix not in (".json", ".jsonl"):
        return False
    return path.suffix == ".json" or re.search(rb'"(answers|results|runs)"\s*:\s*\[', path.read_bytes()) is not None


def spelled(run: Traced, tokenizer: Any, name: str) -> Traced:
    """The same with the text of each token, where an answer holds only ids.

    Args:
        run: whose answers to read.
        tokenizer: of the model that wrote them.
        name: of that model, for the message.

    Raises:
        AnalysisError: the tokenizer has no such token, so that another model wrote them.
    """
    size = len(tokenizer)
    answers = []
    for answer in run.answers:
        if answer.tokens and not any(answer.pieces):
            if not 0 <= min(answer.tokens) <= max(answer.tokens) < size:
                raise AnalysisError(f"the tokens are not those of {name}: name the model that wrote them with --model")
            texts = pieces(tokenizer, answer.tokens)
            answer = replace(answer, pieces=texts + ("",) * (len(answer.step) - len(texts)))  # noqa: PLW2901
        answers.append(answer)
    return replace(run, answers=tuple(answers), model=run.model or name)


def _parsed(text: str) -> list[Any]:
    """The document, or the documents of the lines."""
    try:
        return [json.loads(text)]
    except ValueError:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2:
            raise
        return [json.loads(line) for line in lines]


def _as_record(run: Traced) -> dict[str, Any]:
    return {
        "planner": run.planner,
        "block_length": run.block_length,
        "model": run.model,
        "answers": [_answer_record(answer) for answer in run.answers],
    }


def _answer_record(answer: Answer) -> dict[str, Any]:
    record: dict[str, Any] = {
        "prompt": answer.prompt,
        "pieces": list(answer.pieces),
        "step": answer.step.tolist(),
        "confidence": _numbers(answer.confidence),
        "entropy": _numbers(answer.entropy),
        "calls": answer.calls,
        "useful": answer.useful,
    }
    if answer.tokens:
        record["tokens"] = list(answer.tokens)
    if answer.solution is not None:
        record |= {"solution": answer.solution, "right": answer.right}
    if answer.entropies is not None:
        record["entropies"] = [_numbers(row) for row in answer.entropies]
    return record


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Rounded, null for nan, which JSON does not have."""
    return [None if np.isnan(value) else round(float(value), DIGITS) for value in values]


def _own(record: dict[str, Any]) -> list[Traced]:
    if record["format"] != FORMAT:
        raise ValueError(f"its format is {record['format']!r}, known is {FORMAT!r}")
    runs = []
    for run in record["runs"]:
        answers = tuple(_answer(found) for found in run["answers"])
        runs.append(_run(run["planner"], run["block_length"], answers, str(run["model"])))
    return runs


def _answer(record: dict[str, Any]) -> Answer:
    step = _steps(record["step"])
    entropies = record.get("entropies")
    right = record.get("right")
    answer = Answer(
        prompt=_text(record["prompt"]),
        pieces=tuple(map(_text, record["pieces"])),
        step=step,
        confidence=np.array(record["confidence"], dtype=float),
        entropy=np.array(record["entropy"], dtype=float),
        calls=_whole(record["calls"]),
        useful=_whole(record["useful"]),
        tokens=tuple(map(_whole, record.get("tokens", ()))),
        solution=None if record.get("solution") is None else _text(record["solution"]),
        right=None if right is None else bool(right),
        entropies=None if entropies is None else np.array(entropies, dtype=float),
    )
    width = len(step)
    scores = [answer.confidence, answer.entropy]
    if len(answer.pieces) != width or any(score.shape != (width,) for score in scores):
        raise ValueError("an answer's steps, texts and scores differ in number")
    if not 0 <= answer.useful <= width or not width:
        raise ValueError(f"an answer of {width} positions has {answer.useful} before its end")
    if answer.entropies is not None and answer.entropies.shape != (answer.steps, width):
        raise ValueError(f"entropies of {width} positions before {answer.steps} steps are needed")
    return answer


def _of_commands(records: list[Any]) -> list[Traced]:
    """Runs from the records of `dus generate` (answers to a prompt) and `dus compare` (planners on a prompt)."""
    found: dict[tuple[str, int], list[Answer]] = {}
    for record in records:
        for planner, prompt, answer in _rows(record):
            step = _steps(answer["step"])
            blank = np.full(len(step), np.nan)
            tokens = tuple(map(_whole, answer["tokens"]))
            if len(tokens) != len(step):
                raise ValueError("an answer's tokens and steps differ in number")
            texts = ("",) * len(step)
            calls = _whole(answer["nfe"])
            key = (planner, record["block_length"])
            found.setdefault(key, []).append(Answer(prompt, texts, step, blank, blank, calls, len(step), tokens))
    return [_run(planner, length, tuple(answers), "") for (planner, length), answers in found.items()]


def _rows(record: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Planner, prompt and answer of each row of a command's record."""
    prompt = record["prompt"]
    if isinstance(prompt, list):  # chat messages
        prompt = prompt[-1]["content"]
    if "results" in record:
        yield from ((_text(result["planner"]), _text(prompt), result) for result in record["results"])
    else:
        yield from ((_text(record["planner"]), _text(prompt), answer) for answer in record["answers"])


def _run(planner: Any, block_length: Any, answers: tuple[Answer, ...], model: str) -> Traced:
    if _whole(block_length) < 1:
        raise ValueError(f"block_length is {block_length}, at least 1 is needed")
    if not answers:
        raise ValueError(f"{planner} has no answers")
    if not _text(planner).isprintable() or not model.isprintable():
        raise ValueError("a planner's and a model's name are one line of text")
    return Traced(planner, block_length, answers, model)


def _steps(values: Any) -> NDArray[np.int64]:
    steps = np.array([_whole(value) for value in values], dtype=np.int64)
    if len(steps) and steps.max() > 1 << 20:
        raise ValueError(f"no answer takes {steps.max()} steps")
    return steps


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a whole number is needed where {str(value)[:20]!r} stands")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is needed where {str(value)[:20]!r} stands")
    return value


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
