"""What lm-eval's HumanEval and MBPP need, with this project's sandbox in the place of the hub's `code_eval`.

lm-eval's own functions cannot be imported without downloading `code_eval` and running code in this process. Those here
have the same names where a name reaches the results, take the same arguments and give the same values, but for one:
`fenced` keeps the first word of an answer that goes on without a line break, which lm-eval 0.4.13 takes for the name of
a language (https://github.com/EleutherAI/lm-evaluation-harness/issues/3447).
"""

from __future__ import annotations

import math
import re
from typing import Any

import datasets

from dus.evaluation import sandbox

HERE = "dus.evaluation.harness.tasks_code."
# lm-eval's functions, by folder and name, and ours.
REPLACEMENTS = {
    "humaneval/utils.pass_at_k": "pass_at_k",
    "humaneval/utils.build_predictions": "completed",
    "humaneval/utils.build_predictions_instruct": "completed_in_fence",
    "mbpp/utils.pass_at_1": "pass_at_1",
    "mbpp/utils.build_predictions": "fenced",
}
MBPP_SHOTS = (2, 3, 4)  # task_id


def pass_at_k(references: list[str], predictions: list[list[str]], k: list[int]) -> dict[str, float]:
    """For each k the chance that one of k programs passes, from n of which c do: 1 - C(n-c, k) / C(n, k), the mean.

    Args:
        references: The tests, one text for each problem.
        predictions: The programs, a list for each problem.
        k: The numbers of programs that are drawn; those of which a problem has fewer programs are left out.
    """
    pairs = [(code, tests) for tests, codes in zip(references, predictions, strict=True) for code in codes]
    passed = iter(sandbox.passes_all(pairs))
    counts = [(len(codes), sum(next(passed) for _ in codes)) for codes in predictions]
    return {
        f"pass@{drawn}": sum(1 - math.comb(n - c, drawn) / math.comb(n, drawn) for n, c in counts) / len(counts)
        for drawn in k
        if all(drawn <= n for n, _ in counts)
    }


def pass_at_1(references: str | list[str], predictions: list[str] | list[list[str]]) -> float:
    """The share of programs that pass; a problem may have one program or a list of them."""
    tests = [references] if isinstance(references, str) else references
    codes = [[found] if isinstance(found, str) else found for found in predictions]
    return pass_at_k(tests, codes, [1])["pass@1"]


def completed(responses: list[list[str]], docs: list[dict[str, Any]]) -> list[list[str]]:
    """Programs from continuations of a prompt."""
    return [[doc["prompt"] + text for text in texts] for texts, doc in zip(responses, docs, strict=True)]


def completed_in_fence(responses: list[list[str]], docs: list[dict[str, Any]]) -> list[list[str]]:
    """Programs from continuations of a prompt that stands in an open code fence."""
    return completed([[text.partition("```")[0] for text in texts] for texts in responses], docs)


def fenced(responses: list[list[str]], docs: list[dict[str, Any]]) -> list[list[str]]:
    """Programs from answers in a code fence that the prompt has opened: what stands before the next one, or nothing."""
    return [[_fence(text) for text in texts] for texts in responses]


def _fence(text: str) -> str:
    found = re.search(r"```(?:\w*\n)?(.*?)\n?```", f"```{text}", re.DOTALL)
    return found[1] if found else ""


def shots(prompt_split: datasets.Dataset) -> list[dict[str, Any]]:
    """MBPP's three worked examples."""
    rows = [{**row, "is_fewshot": True} for row in prompt_split if row["task_id"] in MBPP_SHOTS]
    return sorted(rows, key=lambda row: row["task_id"])
