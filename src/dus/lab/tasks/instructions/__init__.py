"""Requests whose fulfilment a program can check, the counterpart of IFEval.

A request asks for a list, for sentences, for keys with values, for a word again and again or for words in order, and
puts constraints on it: one at level 1, two at level 2, three or four at level 3. Many answers are right; which ones,
the checks in the problem's `answer` say (`dus.lab.tasks.instructions.checks`), and each is stated in the request. A
sentence is right when the small grammar of its topic can make it (`dus.lab.tasks.instructions.grammar`). Level 1 asks
for short lists, repetitions and records alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dus.evaluation.tasks import Problem, Unit
from dus.lab.tasks.generated import Generated
from dus.lab.tasks.instructions.checks import holds
from dus.lab.tasks.instructions.draft import Draft, render, style
from dus.lab.tasks.instructions.kinds import ASK, CONFLICTS, MENUS, SIZES

CONSTRAINTS = {1: (1, 1), 2: (2, 2), 3: (3, 4)}
REQUESTS = {
    1: ("list", "list", "list", "record", "record", "repeat"),
    2: ("list", "list", "list", "prose", "prose", "prose", "prose", "record", "repeat", "sort"),
    3: ("list", "list", "list", "prose", "prose", "prose", "prose", "prose", "record", "repeat", "sort"),
}
# Characters that fit in `answer_tokens`; those with capitals count more, for few tokens have capitals.
LONGEST = {1: 80, 2: 310, 3: 630}
WEIGHTS = {"upper": 2.5, "title": 1.5}


def _pick(rng: random.Random, kind: str, count: int) -> list[str]:
    """`count` constraints of the kind's menu that go together."""
    while True:
        picked: list[str] = []
        for new in rng.sample(MENUS[kind], len(MENUS[kind])):
            if new not in picked and not any({new, old} in CONFLICTS for old in picked):
                picked.append(new)
        if len(picked) >= count:
            return picked[:count]


def _draw(rng: random.Random, level: int) -> Problem | None:
    """A problem, or None if its solution is too long for the level."""
    kind = rng.choice(REQUESTS[level])
    draft = Draft(rng, kind, _pick(rng, kind, rng.randint(*CONSTRAINTS[level])))
    parts, keys = ASK[kind](draft, rng.randint(*SIZES[kind][level]))
    style(draft)
    solution = render(draft, parts, keys)
    if len(solution) * WEIGHTS.get(draft.case, 1) > LONGEST[level]:
        return None
    return Problem(draft.question(), solution, draft.answer(), level)


def _requests(level: int, seed: str) -> Iterator[Problem]:
    """Problems without end, held-out ones not yet taken out."""
    rng = random.Random(f"instructions/{level}/{seed}")
    while True:
        if problem := _draw(rng, level):
            yield problem


class Instructions(Generated):
    """The `Task` of checkable requests; an answer is right when every constraint of its request holds."""

    name = "instructions"
    unit: Unit = "right"
    answer_tokens: Mapping[int, int] = MappingProxyType({1: 64, 2: 128, 3: 256})
    runs_code = False

    stream = staticmethod(_requests)

    def score(self, problem: Problem, text: str) -> float:
        """1 if `text` is laid out as the request says and every check of the problem's answer holds, else 0."""
        return float(holds(problem.answer, text))
