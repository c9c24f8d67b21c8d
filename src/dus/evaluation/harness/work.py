"""Requests in groups that are decoded alike, each row numbered by its place in its task."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dus.decoding import Settings
from dus.evaluation.harness.arguments import Arguments
from dus.evaluation.harness.texts import Texts

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

NOBODYS = "requests"
"""The task of requests that name none."""


@dataclass
class Work:
    """Rows of one task that are decoded under the same settings.

    Attributes:
        task: The name of the task.
        settings: The settings that the rows are decoded by.
        numbers: The numbers of the rows, on which random draws depend.
        rows: The prompts, int64 1-D tensors.
        members: For each row the indices of the requests that it answers.
    """

    task: str
    settings: Settings
    numbers: list[int] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    members: list[list[int]] = field(default_factory=list)


def grouped(requests: Sequence[Instance], arguments: Arguments, texts: Texts) -> Iterator[Work]:
    """The requests, which are contexts and their `gen_kwargs`, as rows to decode.

    Raises:
        HarnessError, GenerationError, PlannerError: The `gen_kwargs` cannot be meant.
    """
    groups: dict[tuple[str, str], dict[int, list[int]]] = {}
    for index, (request, (task, number)) in enumerate(zip(requests, numbered(requests), strict=True)):
        asked = json.dumps(request.args[1], sort_keys=True, default=str)
        groups.setdefault((task, asked), {}).setdefault(number, []).append(index)
    for (task, _), rows in groups.items():
        work = Work(task, arguments.settings(requests[next(iter(rows.values()))[0]].args[1]))
        for number, members in rows.items():
            prompt = texts.prompt(requests[members[0]].args[0], work.settings.max_new_tokens)
            work.numbers.append(number)
            work.rows.append(torch.tensor(prompt, dtype=torch.long))
            work.members.append(members)
        yield work


def numbered(requests: Sequence[Instance]) -> Iterator[tuple[str, int]]:
    """For each request its task and its number there: the same in every process, and whatever else is asked.

    It is the place that the request has where its task is evaluated alone in one process. Where there are several
    processes, lm-eval repeats a last request to give all of them equally many: a copy that nobody asked for has the
    number of the request, and with it the answer.
    """
    seen: Counter[tuple[str, int, int]] = Counter()
    for index, request in enumerate(requests):
        if request.task_name is None or request.doc_id is None:
            yield NOBODYS, index
            continue
        which = (request.task_name, request.doc_id, request.idx)
        repeats = request.repeats or 1
        yield request.task_name, (request.idx << 32) + request.doc_id * repeats + seen[which] % repeats
        seen[which] += 1


def once(requests: Sequence[Instance]) -> tuple[list[Instance], list[int]]:
    """The requests without copies that nobody asked for, and for each request its place among these."""
    names = list(numbered(requests))
    place: dict[tuple[str, int], int] = {}
    asked: list[Instance] = []
    for request, name in zip(requests, names, strict=True):
        if name not in place:
            place[name] = len(asked)
            asked.append(request)
    return asked, [place[name] for name in names]
