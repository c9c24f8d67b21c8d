"""The benchmarks of arXiv 2506.19037 as lm-eval tasks, with the settings that are public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

README = "https://github.com/omerlux/DUS: gen_length=256 and no shots named, so lm-eval's own"
SUMMARY = "a public summary of the paper's appendix, not checked against it"


@dataclass(frozen=True)
class Published:
    """How the paper ran a benchmark. Shots are those of lm-eval's task.

    Attributes:
        task: The name of lm-eval's task for base models.
        instruct_task: The name of lm-eval's task for instruct models, where that is another one.
        max_new_tokens: The length of a generation, in tokens.
        problems: The number of problems that were taken; None is all of them.
        source: Where the paper says so.
    """

    task: str
    instruct_task: str
    max_new_tokens: int
    problems: int | None
    source: str


# The summary speaks of 4, 0, 4, 3 and 5 shots without saying of what. lm-eval's are 5 (GSM8K), 4 (MATH500), 0
# (HumanEval), 3 (MBPP), 3 (BBH), 5 (MMLU-Pro) and 0 (IFEval).
PAPER: Mapping[str, Published] = MappingProxyType(
    {
        "GSM8K": Published("gsm8k", "gsm8k_cot", 256, None, README),
        "MATH500": Published("minerva_math500", "minerva_math500", 256, None, README),
        "HumanEval": Published("humaneval", "humaneval_instruct", 512, None, SUMMARY),
        "MBPP": Published("mbpp", "mbpp_instruct", 512, None, SUMMARY),
        "BBH": Published("bbh_cot_fewshot", "bbh_cot_fewshot", 256, 540, SUMMARY),
        "MMLU-Pro": Published("mmlu_pro", "mmlu_pro", 256, 560, SUMMARY),
        "IFEval": Published("ifeval", "ifeval", 1024, None, SUMMARY),
    }
)


def generation_length(task: str) -> int | None:
    """The paper's room for an answer to a task, by lm-eval's name; None where the paper does not name it."""
    lengths = {name: row.max_new_tokens for row in PAPER.values() for name in (row.task, row.instruct_task)}
    return lengths.get(task)
