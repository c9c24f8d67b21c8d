"""From lm-eval's requests to rows of token ids that fit on a canvas, in groups that are decoded alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.models.utils import maybe_truncate
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import Tensor

from dus.decoding import Settings
from dus.evaluation.harness.arguments import Arguments, HarnessError
from dus.evaluation.harness.likelihood import Pair

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_NOTHING = -1


@dataclass(frozen=True)
class Texts:
    """A tokenizer and what its tokens have to fit in.

    Attributes:
        tokenizer: A tokenizer of transformers.
        mask_token_id: The id of the mask token, which no text may contain.
        add_bos_token: Whether a text begins with the tokenizer's first token; None does what the tokenizer does.
        max_length: The longest canvas, in tokens; None sets no limit.
    """

    tokenizer: Any
    mask_token_id: int
    add_bos_token: bool | None
    max_length: int | None

    def __post_init__(self) -> None:
        if self.add_bos_token and self.tokenizer.bos_token_id is None:
            raise HarnessError("the tokenizer has no first token: leave out add_bos_token")

    def tokens(self, text: str) -> list[int]:
        """A text that begins with the first token, as some chat templates do, gets no second one.

        Raises:
            HarnessError: The text contains the mask token.
        """
        first = self.tokenizer.bos_token
        begun = first is not None and text.startswith(first)
        tokens = self.bare(text) if begun or self.add_bos_token is False else self._checked(text, special=True)
        if self.add_bos_token and tokens[:1] != [self.tokenizer.bos_token_id]:
            return [self.tokenizer.bos_token_id, *tokens]
        return tokens

    def bare(self, text: str) -> list[int]:
        """The tokens of a text that stands behind another, with nothing before them."""
        return self._checked(text, special=False)

    def _checked(self, text: str, *, special: bool) -> list[int]:
        tokens: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        if self.mask_token_id in tokens:
            raise HarnessError(f"a text contains the mask token: {text[:80]!r}")
        return tokens

    def prompt(self, text: str, room: int) -> list[int]:
        """A context in front of `room` tokens, without as much of its beginning as does not fit."""
        if self.max_length is None:
            return self.tokens(text)
        if room >= self.max_length:
            raise HarnessError(f"{room} new tokens leave no room for a prompt on a canvas of {self.max_length} tokens")
        return maybe_truncate(self.tokens(text), room, self.max_length)[0]

    def pair(self, context: list[int], continuation: list[int], text: str) -> Pair:
        """A context and a continuation, whose text is `text`, without as much of the context as does not fit."""
        if not continuation:
            raise HarnessError(f"the continuation {text!r} has no token of its own behind its context")
        if self.max_length is None:
            return context, continuation
        if len(continuation) > self.max_length:
            raise HarnessError(
                f"a continuation of {len(continuation)} tokens is longer than the canvas of {self.max_length}"
            )
        kept = maybe_truncate([*context, *continuation], 0, self.max_length)[0]
        return kept[: len(kept) - len(continuation)], continuation

    def windows(self, text: str) -> Iterator[Pair]:
        """A text without a context as contexts and continuations that fit, each token in one of the continuations."""
        start, tokens = self.tokens(""), self.bare(text)
        # lm-eval's windows are a token longer than that: they are a causal model's, which does not read its last one.
        longest = (self.max_length or len(start) + len(tokens) + 1) - max(len(start), 1)
        cut = get_rolling_token_windows(tokens, _NOTHING, max(longest, 1), 1)
        for context, continuation in map(make_disjoint_window, cut):
            yield (start if context == [_NOTHING] else context), continuation


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
