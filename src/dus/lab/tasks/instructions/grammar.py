"""The sentences that can be written about a topic: forms with slots, and the grammar read backwards.

A sentence is singular or plural throughout: determiner, noun, verb and `is` or `are` agree.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container, Sequence
from functools import cache

from dus.lab.tasks.instructions.wording import ADVERBS, PLURAL, SINGULAR, TIMES, TOPICS

FORMS = (
    ("det", "noun", "verb", "adverb"),
    ("det", "adjective", "noun", "verb"),
    ("det", "noun", "be", "adjective"),
    ("det", "adjective", "noun", "verb", "adverb"),
    ("det", "noun", "be", "adjective", "and", "adjective"),
    ("det", "noun", "verb", "place"),
    ("det", "adjective", "noun", "verb", "place"),
    ("time", "det", "noun", "verb"),
    ("time", "det", "adjective", "noun", "verb"),
    ("time", "det", "adjective", "noun", "verb", "adverb"),
    ("det", "noun", "verb", "place", "time"),
    ("det", "adjective", "and", "adjective", "noun", "verb", "place"),
    ("det", "adjective", "noun", "verb", "place", "time"),
)


def words_in(form: Sequence[str]) -> int:
    """How many words every sentence of the form has."""
    return sum(3 if slot in ("place", "time") else 1 for slot in form)


LENGTHS = tuple(sorted({words_in(form) for form in FORMS}))
FORMS_OF_LENGTH = {length: tuple(form for form in FORMS if words_in(form) == length) for length in LENGTHS}


@cache
def slots(topic: str, plural: bool) -> dict[str, tuple[str, ...]]:
    """What can stand in each slot of a singular or plural sentence about the topic."""
    of = TOPICS[topic]
    return {
        "det": PLURAL if plural else SINGULAR,
        "noun": tuple(noun + "s" for noun in of.nouns) if plural else of.nouns,
        "verb": of.verbs if plural else tuple(verb + "s" for verb in of.verbs),
        "be": ("are" if plural else "is",),
        "adjective": of.adjectives,
        "and": ("and",),
        "place": of.places,
        "time": TIMES,
        "adverb": ADVERBS,
    }


def write(
    rng: random.Random,
    topic: str,
    length: int | None = None,
    avoid: Container[str] = (),
    use: tuple[str, str] | None = None,
) -> str:
    """A sentence about the topic, in lower case and without its full stop.

    It has `length` words if given, none of `avoid`, and the word of `use`, a pair (slot, word), in that slot.
    """
    forms = FORMS if length is None else FORMS_OF_LENGTH[length]
    if use:
        forms = tuple(form for form in forms if use[0] in form)
    form = rng.choice(forms)
    fillers = slots(topic, rng.random() < 0.5)
    if use and use[1] not in fillers[use[0]]:
        fillers = next(other for other in (slots(topic, False), slots(topic, True)) if use[1] in other[use[0]])
    written: list[str] = []
    for slot in form:
        if use and slot == use[0] and use[1] not in written:
            written.append(use[1])
            continue
        word = rng.choice(fillers[slot])
        while word in avoid or (slot == "adjective" and word in written):
            word = rng.choice(fillers[slot])
        written.append(word)
    return " ".join(written)


@cache
def _pattern(topic: str) -> re.Pattern[str]:
    """One alternative for each form and number; the second adjective of a sentence is not the first."""
    alternatives = []
    for index, form in enumerate(FORMS):
        for plural in (False, True):
            fillers = slots(topic, plural)
            first = f"first{index}{'p' if plural else 's'}"
            pieces = []
            for position, slot in enumerate(form):
                choices = "|".join(fillers[slot])
                if slot != "adjective" or form.count(slot) == 1:
                    pieces.append(f"(?:{choices})")
                elif slot not in form[:position]:
                    pieces.append(f"(?P<{first}>{choices})")
                else:
                    pieces.append(rf"(?!(?P={first})\b)(?:{choices})")
            alternatives.append(" ".join(pieces))
    return re.compile("|".join(alternatives))


def is_sentence(topic: str, text: str) -> bool:
    """Whether `text`, in whatever case, is a sentence that can be written about the topic, with its full stop."""
    return text.endswith(".") and _pattern(topic).fullmatch(text[:-1].lower()) is not None
