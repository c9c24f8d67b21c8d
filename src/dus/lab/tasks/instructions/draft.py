"""A request in the making: what it says, what will be checked, and the look of the answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from dus.lab.tasks.instructions import wording

LAYOUTS = {
    "list": ("commas", "semicolons", "lines", "numbered", "bullets"),
    "prose": ("lines", "numbered", "bullets"),
    "record": ("pairs", "json"),
    "repeat": ("commas", "semicolons", "lines", "numbered", "bullets"),
    "sort": ("commas", "semicolons", "lines", "numbered", "bullets"),
}
SEPARATORS = {"commas": ", ", "semicolons": "; ", "free": ", ", "sentences": " "}


@dataclass
class Draft:
    """A problem in the making: the constraints drawn for it, what the request says, and what will be checked."""

    rng: random.Random
    kind: str
    constraints: list[str]
    opening: str = ""
    said: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    checks: list[list[Any]] = field(default_factory=list)
    layout: str = "free"
    case: str = ""
    quoted: bool = False
    begin: str = ""
    end: str = ""

    def has(self, constraint: str) -> bool:
        """Whether the constraint was drawn."""
        return constraint in self.constraints

    def number(self, n: int) -> str:
        """`n` as a word, now and then in digits."""
        return str(n) if n >= len(wording.NUMBERS) or self.rng.random() < 0.25 else wording.NUMBERS[n]

    def open(self, wordings: str, **words: str) -> None:
        """Draws the opening of the request."""
        self.opening = self.rng.choice(wording.OPENINGS[wordings]).format(inline="{inline}", **words)

    def say(self, constraint: str, **words: str) -> None:
        """States a constraint, within the opening where there are words for that and room."""
        room = "{inline}" in self.opening and constraint in wording.INLINE and len(self.inline) < 2
        if room and self.rng.random() < 0.5:
            self.inline.append(self.rng.choice(wording.INLINE[constraint]))
        else:
            self.said.append(self.rng.choice(wording.SAID[constraint]).format(**words))

    def check(self, name: str, *arguments: str | int) -> None:
        """Adds a check, by its name in `dus.lab.tasks.instructions.checks.CHECKS`."""
        self.checks.append([name, *arguments])

    def question(self) -> str:
        """The request, its constraints in any order."""
        self.rng.shuffle(self.said)
        inline = " " + ", ".join(self.inline) if self.inline else ""
        return " ".join([self.opening.replace("{inline}", inline), *self.said])

    def answer(self) -> str:
        """The specification that `dus.lab.tasks.instructions.checks.holds` reads."""
        frame = {"quoted": self.quoted, "begin": self.begin, "end": self.end}
        stated = {name: value for name, value in frame.items() if value}
        return json.dumps({"layout": self.layout, **stated, "checks": self.checks})


def style(draft: Draft) -> None:
    """Draws and states what is about the look of an answer: layout, case, quotes, beginning and end."""
    rng, record = draft.rng, draft.kind == "record"
    if record or draft.has("layout"):
        draft.layout = rng.choice(
            [name for name in LAYOUTS[draft.kind] if not (name == "json" and draft.has("quoted"))]
        )
        draft.say(f"layout {draft.layout}")
    if draft.has("case"):
        draft.case = rng.choice(("upper", "title", "lower") if draft.kind == "prose" else ("upper", "title"))
        draft.say(f"{'values' if record else 'case'} {draft.case}")
        draft.check("case", draft.case)
    if draft.has("quoted"):
        draft.quoted = True
        draft.say("values quoted" if record else "quoted")
    if draft.has("wrapped"):
        draft.begin = draft.end = '"'
        draft.say("wrapped")
    if draft.has("begin"):
        draft.begin = rng.choice(wording.BEGINNINGS)
        draft.say("begin", phrase=draft.begin)
    if draft.has("end"):
        draft.end = rng.choice(wording.ENDINGS)
        draft.say("end", phrase=draft.end)


def _body(draft: Draft, parts: list[str], keys: list[str]) -> str:
    if draft.layout == "json":
        return "{" + ", ".join(f'"{key}": "{part}"' for key, part in zip(keys, parts, strict=True)) + "}"
    if draft.layout in SEPARATORS:
        return SEPARATORS[draft.layout].join(parts)
    marks = {
        "lines": [""] * len(parts),
        "bullets": ["- "] * len(parts),
        "numbered": [f"{i}. " for i in range(1, len(parts) + 1)],
        "pairs": [f"{key}: " for key in keys],
    }[draft.layout]
    return "\n".join(mark + part for mark, part in zip(marks, parts, strict=True))


def render(draft: Draft, parts: list[str], keys: list[str]) -> str:
    """The answer text: the parts, with the keys of a record, in the draft's style."""
    if draft.case:
        change = {"upper": str.upper, "lower": str.lower, "title": str.title}[draft.case]
        parts = [change(part) for part in parts]
    if draft.quoted:
        parts = [f'"{part}"' for part in parts]
    body = _body(draft, parts, keys)
    if draft.has("wrapped"):
        return f'"{body}"'
    gap = " " if draft.layout in SEPARATORS else "\n"
    if draft.end and draft.layout in ("free", "commas", "semicolons"):
        body += "."
    return gap.join(filter(None, (draft.begin, body, draft.end)))
