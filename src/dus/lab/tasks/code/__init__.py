"""Short Python functions from a request in words, the counterpart of MBPP and HumanEval.

The question names the function, its arguments and what it does; the solution is the source and nothing else, and
follows from the wording. Level 1: one operation on the whole of one value, under a name that tells it. Level 2: two or
three on one value, or on each item of a list. Level 3: several arguments, branches, loops, a helper. Any program is
accepted that passes the hidden tests, which come from callables and not from the printed solution, and which tell each
drawn constant from its neighbours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dus.evaluation.tasks import Problem, Unit
from dus.lab.tasks.code import forms, larger, words
from dus.lab.tasks.code.forms import Draft
from dus.lab.tasks.code.inputs import draw
from dus.lab.tasks.code.operations import LETTERS
from dus.lab.tasks.generated import Generated

LONGEST_VALUE = 150
LONGEST_SOLUTION = {1: 90, 2: 260, 3: 520}
FORMS: dict[int, tuple[Callable[[random.Random], Draft], ...]] = {
    1: (forms.single,),
    2: (forms.chain, forms.chain, forms.comprehension),
    3: (
        forms.long_chain, larger.branch, larger.total_loop, larger.list_loop, larger.pairs,
        larger.countdown, larger.helped,
    ),
}  # fmt: skip

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)


def _other(constant: Any) -> tuple[Any, ...]:
    """Constants near this one, which the tests must tell from it."""
    if isinstance(constant, int):
        return (constant + 1, constant - 1)
    if constant in LETTERS:
        return (LETTERS[LETTERS.index(constant) - 1],)
    return (constant + "~",)


def _differs(draft: Draft, constants: Sequence[Any], inputs: Sequence[Sequence[Any]], values: Sequence[Any]) -> bool:
    """Whether the function with these constants gives another value somewhere, or fails."""
    try:
        return any(draft.run(constants, given) != value for given, value in zip(inputs, values, strict=True))
    except (ValueError, ZeroDivisionError):
        return True


def _telling(draft: Draft, inputs: Sequence[Sequence[Any]], values: Sequence[Any]) -> bool:
    """Whether the inputs tell the function from one with another constant or a second argument that is ignored."""
    if len(set(map(repr, values))) < (2 if isinstance(values[0], bool) else 3):
        return False
    for place, constant in enumerate(draft.constants):
        for other in _other(constant):
            wrong = (*draft.constants[:place], other, *draft.constants[place + 1 :])
            if not _differs(draft, wrong, inputs, values):
                return False
    if len(draft.arguments) > 1:
        first = inputs[0][1]
        return _differs(draft, draft.constants, [(given[0], first) for given in inputs], values)
    return True


def _tests(draft: Draft, rng: random.Random) -> list[tuple[tuple[Any, ...], Any]] | None:
    """Inputs with their values, four to eight; None where no good ones were found."""
    drawn = draw(rng, [kind for _, kind in draft.arguments], draft.constants)
    inputs = drawn[:-1] if draft.nonempty else drawn
    found = [(given, draft.run(draft.constants, given)) for given in inputs]
    found = [(given, value) for given, value in found if len(repr(value)) <= LONGEST_VALUE]
    if len(found) < 4 or not _telling(draft, [given for given, _ in found], [value for _, value in found]):
        return None
    return found


def _more_tests(draft: Draft, rng: random.Random) -> list[tuple[tuple[Any, ...], Any]]:
    """Further inputs with their values, near the constants and near zero."""
    kinds = [kind for _, kind in draft.arguments]
    drawn = [given for _ in range(3) for near in (draft.constants, (0,)) for given in draw(rng, kinds, near)[:-1]]
    found = [(given, draft.run(draft.constants, given)) for given in drawn]
    return [(given, value) for given, value in found if len(repr(value)) <= LONGEST_VALUE]


def _name(draft: Draft, rng: random.Random) -> str:
    """A name that says what the function does, or, for more than one operation, one that says nothing."""
    if len(draft.labels) == 1:
        return f"{draft.labels[0]}_{words.NOUNS[draft.arguments[0][1]]}"
    if rng.random() < 0.5:
        return f"{rng.choice(words.COLOURS)}_{rng.choice(words.THINGS)}"
    return "_".join(draft.labels[:3])


def _question(draft: Draft, name: str, use: str, value: str, rng: random.Random) -> str:
    joiner = rng.choice(words.JOINERS)
    clause = joiner.join(draft.clauses)
    said, told = words.said(clause), words.told(clause)
    call = f"{name}({', '.join(argument for argument, _ in draft.arguments)})"
    shown = len(use) + len(value) < 90 and rng.random() < 0.5
    if rng.random() < 0.35:
        doctest = f"\n\n    >>> {use}\n    {value}" if shown else ""
        form = rng.choice(words.DOCUMENTED)
        return form.format(call=call, said=said, Told=told[0].upper() + told[1:], doctest=doctest)
    example = rng.choice(words.EXAMPLES).format(use=use, value=value) if shown else ""
    return rng.choice(words.ASKED).format(call=call, said=said, told=told, example=example)


def _write(rng: random.Random, level: int) -> Problem | None:
    draft = rng.choice(FORMS[level])(rng)
    name = _name(draft, rng)
    header = f"def {name}({', '.join(argument for argument, _ in draft.arguments)}):\n"
    solution = (f"{draft.helper}\n\n\n" if draft.helper else "") + header + draft.body
    if len(solution) > LONGEST_SOLUTION[level]:
        return None
    tests = _tests(draft, rng)
    if tests is None:
        return None
    use, value = f"{name}({', '.join(map(repr, tests[0][0]))})", repr(tests[0][1])
    question = _question(draft, name, use, value, rng)
    tests += _more_tests(draft, random.Random(question))
    answer = "\n".join(f"assert {name}({', '.join(map(repr, given))}) == {value!r}" for given, value in tests)
    return Problem(question, solution, answer, level)


def _functions(level: int, seed: str) -> Iterator[Problem]:
    """Problems without end, held-out ones not yet taken out."""
    rng = random.Random(f"code/{level}/{seed}")
    while True:
        problem = _write(rng, level)
        if problem is not None:
            yield problem


def unfenced(text: str) -> str:
    """The inside of the first Markdown code fence of `text`, to the end where it is not closed; else all of `text`."""
    match = _FENCE.search(text)
    return match[1] if match else text


class Code(Generated):
    """The `Task` of Python functions; scored by hidden tests in the sandbox."""

    name = "code"
    unit: Unit = "right"
    answer_tokens: Mapping[int, int] = MappingProxyType({1: 64, 2: 128, 3: 256})
    runs_code = True

    stream = staticmethod(_functions)

    def score(self, problem: Problem, text: str) -> bool:
        """Whether the program in `text`, fenced or not, passes the problem's hidden tests in the sandbox."""
        from dus.evaluation.sandbox import passes

        return passes(unfenced(text), problem.answer)
