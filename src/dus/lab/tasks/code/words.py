"""The names and sentences of the code problems: arguments, functions, and the ways to ask for one."""

from __future__ import annotations

import re

ARGUMENTS = {
    "int": ("n", "m", "k", "num", "value", "amount", "size", "score", "age", "price"),
    "text": ("text", "s", "name", "line", "phrase", "title", "message", "sentence", "label", "note"),
    "numbers": ("nums", "numbers", "items", "data", "scores", "prices", "sizes", "ages", "points", "levels"),
    "words": ("words", "names", "tokens", "lines", "tags", "terms", "titles", "labels", "keys", "colors"),
}
SECOND = {
    "int": ("step", "offset", "bonus", "extra", "shift", "rate", "limit", "bound"),
    "numbers": ("others", "weights", "rest", "extras", "totals", "counts"),
}
# What a value is called in the function once an operation has changed its kind.
RENAMED = {"int": "number", "text": "string", "numbers": "values", "words": "parts"}
HELPERS = ("helper", "change", "convert", "adjust", "transform", "update", "inner", "move")

NOUNS = {"int": "number", "text": "text", "numbers": "list", "words": "words"}
COLOURS = (
    "amber", "blue", "copper", "dark", "early", "faint", "gold", "happy", "ivory", "jolly", "kind", "light", "mild",
    "neat", "olive", "pale", "quiet", "red", "silver", "tall", "urban", "vivid", "warm", "young",
)  # fmt: skip
THINGS = (
    "anchor", "bridge", "cloud", "door", "engine", "forest", "garden", "harbor", "island", "jacket", "kettle", "lamp",
    "mirror", "needle", "ocean", "pencil", "river", "stone", "tower", "umbrella", "valley", "window", "yard", "zebra",
)  # fmt: skip

# `said` is the description with verbs in the third person, `told` in the imperative, with a capital `Told`.
ASKED = (
    "Write a Python function {call} that {said}.{example}",
    "Write a function {call} that {said}.{example}",
    "Define a function {call} which {said}.{example}",
    "Implement {call}, a Python function that {said}.{example}",
    "Please write {call}, a function that {said}.{example}",
    "The function {call} {said}. Write it in Python.{example}",
    "Python: {call} should {told}.{example}",
    "Write {call}: {told}.{example}",
)
DOCUMENTED = (
    'def {call}:\n    """{Told}.{doctest}\n    """',
    'Complete the function.\n\ndef {call}:\n    """{Told}.{doctest}\n    """',
    'def {call}:\n    """The function {said}.{doctest}\n    """',
)
EXAMPLES = (
    " For example, {use} returns {value}.",
    " Example: {use} == {value}",
    " {use} gives {value}.",
    " It should pass this test: assert {use} == {value}",
)
JOINERS = (", then ", " and then ", "; then ", ", next ")

SAMPLE_WORDS = (
    "a", "an", "ox", "tea", "sun", "map", "Bee", "river", "apple", "lemon", "stone", "table", "Orange", "garden",
    "noon", "level", "pin", "silent", "house", "Cloud", "bread", "grape", "pearl", "thunder", "mirror", "umbrella",
    "dog", "cat", "milk", "salt", "Tiger", "beach", "plum", "candle", "night", "radar", "on", "up", "Echo", "island",
)  # fmt: skip

_VERB = re.compile(r"~([a-z]+)")


def _third(match: re.Match[str]) -> str:
    verb = match[1]
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "sh", "tch", "o")) else "s")


def said(text: str) -> str:
    """`text` with its marked verbs in the third person."""
    return _VERB.sub(_third, text)


def told(text: str) -> str:
    """`text` with its marked verbs as an order."""
    return text.replace("~", "")
