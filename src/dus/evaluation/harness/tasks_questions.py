"""lm-eval's tasks as `Questions`, so that a sweep runs them and keeps what each answer cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from lm_eval.api.group import Group
from lm_eval.defaults import DEFAULT_OTHER_SEED

from dus.evaluation.harness.arguments import HarnessError
from dus.evaluation.harness.tasks import load
from dus.evaluation.tasks import Unit

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask

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


DEFAULT_ROOM = 256


@dataclass(frozen=True)
class Benchmark:
    """A task or group of lm-eval as `Questions`: its prompts, and its score of an answer.

    The score is the first metric of the task behind its first filter: `exact_match,strict-match` of `gsm8k`,
    `exact_match` of `minerva_math500`, `pass@1` of the code tasks, `prompt_level_strict_acc` of `ifeval`.

    Attributes:
        asked: For each prompt the task and its request.
        name, prompts, chat, max_new_tokens, stop, unit, runs_code: The same as in `Questions`.
    """

    name: str
    asked: tuple[tuple[ConfigurableTask, Instance], ...]
    chat: bool
    max_new_tokens: int
    stop: tuple[str, ...]
    unit: Unit
    runs_code: bool

    @property
    def prompts(self) -> list[str]:
        """The contexts, with their worked examples."""
        return [request.args[0] for _, request in self.asked]

    def score(self, index: int, text: str) -> float:
        """lm-eval's score of `text` up to the first stop string.

        To be called in the main thread: the scorer of MATH limits its time by a signal.
        """
        task, request = self.asked[index]
        answer = text[: min((at for at in map(text.find, self.stop) if at >= 0), default=len(text))]
        answered = replace(request, resps=[answer], filtered_resps={})
        first = task._filters[0]
        first.apply([answered])
        results = task.process_results(request.doc, [answered.filtered_resps[first.name]])
        return float(next(iter(results.values())))

    def expected(self, index: int) -> str | None:
        """lm-eval's target."""
        task, request = self.asked[index]
        return str(task.doc_to_target(request.doc))


def benchmark(
    name: str,
    *,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    max_new_tokens: int | None = None,
    chat: bool = False,
) -> Benchmark:
    """A benchmark by lm-eval's name.

    Args:
        name: The name of a task or group that `tasks.load` takes.
        data_dir: The folder with the data sets; None is the hub.
        limit: The number of problems, from the first on; of a group the first of each task, then the second, and so on.
        max_new_tokens: The most tokens of an answer; None is what the paper says, or else the task.
        chat: Whether the whole prompt is a user's message in the model's chat template.

    Raises:
        HarnessError: The task cannot be loaded, as for `tasks.load`; it wants several answers to a problem; or it is to
            be a chat and begins the answer itself, after the message.
    """
    [found], _ = load([name], data_dir)
    members = found.get_all_tasks() if isinstance(found, Group) else [found]
    if any((task.config.repeats or 1) > 1 for task in members):
        raise HarnessError(f"{name} wants several answers to each problem, a sweep takes one: dus lm-eval runs it")
    if chat and any(task.config.gen_prefix for task in members):
        raise HarnessError(f"{name} begins the answer itself, so that no chat template fits: leave out chat")
    turns = zip_longest(*([(task, request) for request in _requests(task, limit)] for task in members))
    asked = [each for each in chain.from_iterable(turns) if each is not None][:limit]
    wanted = members[0].config
    room = max_new_tokens or generation_length(name) or wanted.generation_kwargs.get("max_gen_toks", DEFAULT_ROOM)
    unit: Unit = "nats" if wanted.metric_list[0]["metric"] == "nats" else "right"
    stop = tuple(wanted.generation_kwargs["until"])
    return Benchmark(name, tuple(asked), chat, room, stop, unit, runs_code=wanted.unsafe_code)


def _requests(task: ConfigurableTask, limit: int | None) -> Iterator[Instance]:
    """The requests that `lm_eval.simple_evaluate` makes with this limit: shots are drawn in the documents' order."""
    task.set_fewshot_seed(DEFAULT_OTHER_SEED)
    for number, doc in task.doc_iterator(limit=limit):
        shots = task.config.num_fewshot or 0
        context = task.fewshot_context(doc, num_fewshot=shots, gen_prefix=task.doc_to_prefix(doc))
        yield task.construct_requests(doc=doc, ctx=context, metadata=(task.config.task, number, 1))
