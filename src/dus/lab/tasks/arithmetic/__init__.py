"""Grade-school word problems with the worked solution spelled out, the counterpart of GSM8K.

A story keeps one running quantity. It begins with a given number (no operation), a product or a sum, goes on with
events, and ends with a question that may cost one operation more. Level 1: one operation, operands up to 12. Level 2:
two or three operations. Level 3: four to six and sentences that do not matter. Every quantity is below 100.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dus.evaluation.tasks import Problem, Unit
from dus.lab.tasks.arithmetic import words
from dus.lab.tasks.generated import Generated

LIMIT = 99
OPERATIONS = {1: (1, 1), 2: (2, 3), 3: (4, 6)}
LARGEST_OPERAND = {1: 12, 2: LIMIT, 3: LIMIT}


class _DeadEndError(Exception):
    """The story cannot go on within the limits; a new one is begun."""


@dataclass
class _Story:
    """A story in the making: the running quantity `value` of `thing` that `who` has, and the sentences so far.

    Where the things are `packed`, every sentence names them, for "3 more" might be boxes.
    """

    rng: random.Random
    cap: int
    who: str
    friend: str
    thing: str
    value: int = 0
    packed: bool = False
    asked: list[str] = field(default_factory=list)
    worked: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    def say(self, pair: tuple[str, str], a: int, sign: str, b: int, unit: str | None = None, **more: object) -> None:
        """Adds a sentence pair whose equation is `a sign b`; the result becomes the quantity."""
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
        if max(a, b) > self.cap or not 2 <= result <= LIMIT:
            raise _DeadEndError
        self.ask(pair[0], **more)
        lead = self.fill(pair[1], **more)
        self.worked.append(f"{lead} {a} {sign} {b} = {result} {unit or self.thing}.")
        self.value = result

    def ask(self, template: str, **more: object) -> None:
        """Adds a sentence to the question."""
        sentence = self.fill(template, **more)
        self.asked.append(sentence[0].upper() + sentence[1:])

    def fill(self, template: str, **more: object) -> str:
        named = self.packed or self.rng.random() < 0.3
        of, them = (f" {self.thing}", f"the {self.thing}") if named else ("", "them")
        return template.format(who=self.who, friend=self.friend, thing=self.thing, of=of, them=them, **more)

    def join(self) -> None:
        """Makes one sentence of the first two where both have the same subject: Tom has 5 apples and buys 2 more."""
        first, second, *rest = self.asked
        if " had " not in first and all(sentence.startswith(f"{self.who} ") for sentence in (first, second)):
            self.asked = [f"{first[:-1]} and {second.removeprefix(self.who).lstrip()}", *rest]

    def meet(self) -> None:
        """The friend becomes the one who has the things, and somebody new the friend."""
        self.known.append(self.friend)
        self.who, self.friend = self.friend, self.rng.choice([n for n in words.NAMES if n not in self.known])

    def number(self, high: int) -> int:
        """A number from 2 to `high`, small ones more often."""
        high = min(high, self.cap)
        if high < 2:
            raise _DeadEndError
        return self.rng.randint(2, min(high, 12) if self.rng.random() < 0.5 else high)

    def factor(self, value: int) -> int:
        """A number that can multiply `value`."""
        return self.number(min(12, LIMIT // max(value, 1)))

    def divisor(self, candidates: Iterator[int] | range) -> int:
        """A candidate that divides the quantity and leaves more than one."""
        fitting = [n for n in candidates if self.value % n == 0 and self.value > n]
        if not fitting:
            raise _DeadEndError
        return self.rng.choice(fitting)


def _begin(story: _Story, operations: int) -> None:
    rng = story.rng
    if not operations:
        story.value = story.number(LIMIT)
        story.ask(rng.choice(words.HAS), n=story.value)
    elif rng.random() < 0.5:
        m = story.number(24)
        n = story.factor(m)
        story.packed = True
        story.say(rng.choice(words.PACKED), n, "*", m, n=n, m=m, box=rng.choice(words.CONTAINERS))
    else:
        n = story.number(LIMIT - 2)
        m = story.number(LIMIT - n)
        colour, other = rng.sample(words.COLOURS, 2)
        story.say(rng.choice(words.TWO_COLOURS), n, "+", m, n=n, m=m, colour=colour, other=other)


def _happen(story: _Story) -> None:
    """One event in the middle: the quantity grows, shrinks, multiplies, is cut, or another person has more or less."""
    rng, value = story.rng, story.value
    kind = rng.choice("++++----*/<<>>x")
    if kind in "+-":
        opening = rng.choice(words.OPENINGS)
        ask, lead = rng.choice(words.GAINS if kind == "+" else words.LOSSES)
        n = story.number(LIMIT - value if kind == "+" else value - 2)
        story.say((opening + ask, lead), value, kind, n, n=n)
    elif kind == "*":
        n = story.factor(value)
        opening = rng.choice(words.OPENINGS[3:])
        ask, lead = rng.choice(words.MULTIPLES)
        story.say((opening + ask, lead), value, "*", n, n=n)
    elif kind == "/":
        n = story.divisor(range(2, 6))
        opening = rng.choice(words.OPENINGS)
        ask, lead = rng.choice(words.PARTS)
        story.say((opening + ask, lead), value, "/", n, part=words.FRACTIONS[n])
    else:
        pair, sign = {">": (words.MORE, "+"), "<": (words.FEWER, "-"), "x": (words.TIMES, "*")}[kind]
        n = story.factor(value) if sign == "*" else story.number(LIMIT - value if sign == "+" else value - 2)
        story.say(pair, value, sign, n, n=n)
        story.meet()


def _end(story: _Story, operations: int) -> None:
    rng, value = story.rng, story.value
    if not operations:
        story.ask(rng.choice(words.PLAIN))
        return
    kind = rng.choice(("share", "price", "together", "need"))
    if kind == "share":
        n = story.divisor(range(2, 13))
        story.say(rng.choice(words.SHARES), value, "/", n, n=n, box=rng.choice(words.CONTAINERS))
    elif kind == "price":
        n = story.factor(value)
        story.say(rng.choice(words.PRICES), value, "*", n, unit="dollars", n=n)
    elif kind == "together":
        n = story.number(LIMIT - value)
        story.say(rng.choice(words.TOGETHER), value, "+", n, n=n)
    else:
        n = value + story.number(LIMIT - value)
        story.say(rng.choice(words.NEEDS), n, "-", value, unit=f"more {story.thing}", n=n)


def _distract(story: _Story) -> None:
    """One or two sentences that do not matter, anywhere after the first one."""
    for template in story.rng.sample(words.DISTRACTORS, story.rng.randint(1, 2)):
        sentence = template.format(friend=story.friend, n=story.rng.randint(2, 20))
        story.asked.insert(story.rng.randint(1, len(story.asked) - 1), sentence)


def _tell(rng: random.Random, level: int) -> Problem:
    who, friend = rng.sample(words.NAMES, 2)
    story = _Story(rng, LARGEST_OPERAND[level], who, friend, rng.choice(words.THINGS))
    story.known.append(who)
    operations = rng.randint(*OPERATIONS[level])
    first = int(rng.random() < 0.4)
    last = int(rng.random() < 0.4 and first < operations)
    _begin(story, first)
    for _ in range(operations - first - last):
        _happen(story)
    if not first and operations > last and rng.random() < 0.6:
        story.join()
    _end(story, last)
    if level == 3:
        _distract(story)
    answer = str(story.value)
    return Problem(" ".join(story.asked), f"{' '.join(story.worked)} #### {answer}", answer, level)


def _stories(level: int, seed: str) -> Iterator[Problem]:
    """Problems without end, held-out ones not yet taken out."""
    rng = random.Random(f"arithmetic/{level}/{seed}")
    while True:
        try:
            yield _tell(rng, level)
        except _DeadEndError:
            continue


def final_number(text: str) -> int | None:
    """The number after the last `####` of `text`, or None where there is none.

    A currency sign, spaces, thousands commas, a sign and decimals that are all zero are read as people write them;
    only ASCII digits count, and a number of more than 18 digits is nobody's answer. What follows on its line is words
    or nothing: a number that goes on in another way, as `19e5`, `19/2`, `19 * 3` or `19, 13` do, is none.
    """
    tail = text.rpartition("####")
    if not tail[1]:
        return None
    match = re.match(
        r"[ \t]*\$?[ \t]*(-?)(?:([0-9]{1,3}(?:,[0-9]{3})+)|([0-9]+))(?![0-9,]*[0-9])(?:\.([0-9]+))?\$?"
        r"(?=[.,;:!?)]*(?:\s|$))(?!,?[ \t]*(?:[*/+=^×÷%<>~&0-9]|[-−–][ \t]*[0-9]))",
        tail[2],
    )
    if match is None:
        return None
    sign, grouped, plain, decimals = match.groups()
    digits = (grouped or plain).replace(",", "")
    if len(digits) > 18 or (decimals or "").strip("0"):
        return None
    return int(sign + digits)


class Arithmetic(Generated):
    """The `Task` of word problems; scored by the number after `####`."""

    name = "arithmetic"
    unit: Unit = "right"
    answer_tokens: Mapping[int, int] = MappingProxyType({1: 32, 2: 64, 3: 128})
    runs_code = False

    stream = staticmethod(_stories)

    def score(self, problem: Problem, text: str) -> bool:
        """Whether the number after the last `####` of `text` is the problem's answer."""
        return final_number(text) == int(problem.answer)
