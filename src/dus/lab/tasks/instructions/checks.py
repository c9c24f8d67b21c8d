"""What an answer to an instruction is checked for: how it is laid out, then small pure checks of its parts.

A specification, the `answer` of a problem, is a JSON object: `layout` names how the parts are told apart, `begin` and
`end` are phrases around them, `quoted` says that each part is in double quotes, and `checks` lists names with their
arguments.
The vocabulary is ASCII, and so is every right answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from dus.lab.tasks.instructions.grammar import is_sentence
from dus.lab.tasks.instructions.wording import MEMBERS

LONGEST_ANSWER = 4000


@dataclass(frozen=True)
class Reply:
    """An answer taken apart: items, sentences or values, the keys of the values, and the words that join the items."""

    parts: tuple[str, ...]
    keys: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()


def _lines(body: str) -> list[str]:
    return [line.strip() for line in body.split("\n") if line.strip()]


def _separated(body: str, sign: str) -> Reply | None:
    if "\n" in body:
        return None
    return Reply(tuple(part.strip() for part in body.removesuffix(".").split(sign)))


def _numbered(body: str) -> Reply | None:
    matches = [re.fullmatch(r"([0-9]{1,3})[.)] +(.+)", line) for line in _lines(body)]
    numbers = [int(match[1]) for match in matches if match]
    if numbers != list(range(1, len(matches) + 1)):
        return None
    return Reply(tuple(match[2] for match in matches if match))


def _bullets(body: str) -> Reply | None:
    matches = [re.fullmatch(r"[-*] +(.+)", line) for line in _lines(body)]
    return Reply(tuple(match[1] for match in matches if match)) if all(matches) else None


def _free(body: str) -> Reply | None:
    """Words listed in any of the ways that people list words."""
    if "\n" in body:
        return _numbered(body) or _bullets(body) or Reply(tuple(line.rstrip(",;.") for line in _lines(body)))
    between = r"\s*[,;]\s*(?:and\s+)?|\s+and\s+"
    listed = body.removesuffix(".").strip()
    parts = re.split(between if re.search(between, listed, re.I) else r"\s+", listed, flags=re.I)
    return Reply(tuple(parts), joints=tuple(re.findall(r"\band\b", listed, re.I)))


def _keyed(pairs: list[str], pattern: str) -> Reply | None:
    matches = [re.fullmatch(pattern, pair.strip()) for pair in pairs]
    if not all(matches):
        return None
    return Reply(tuple(match[2] for match in matches if match), tuple(match[1] for match in matches if match))


def _json(body: str) -> Reply | None:
    if not (body.startswith("{") and body.endswith("}")):
        return None
    return _keyed(body[1:-1].split(","), r'"([a-z]+)" *: *"([A-Za-z]+)"')


LAYOUTS: Mapping[str, Callable[[str], Reply | None]] = MappingProxyType(
    {
        "free": _free,
        "commas": lambda body: _separated(body, ","),
        "semicolons": lambda body: _separated(body, ";"),
        "lines": lambda body: Reply(tuple(_lines(body))),
        "numbered": _numbered,
        "bullets": _bullets,
        "sentences": lambda body: Reply(tuple(re.split(r"(?<=\.)\s+", body))),
        "pairs": lambda body: _keyed(_lines(body), r'([a-z]+) *: *("?[A-Za-z]+"?)'),
        "json": _json,
    }
)


def words_of(text: str) -> list[str]:
    """The words of `text`, in lower case."""
    return re.findall(r"[a-z]+", text.lower())


def _all_words(reply: Reply) -> list[str]:
    return [word for part in reply.parts for word in words_of(part)]


def _case(reply: Reply, case: str) -> bool:
    written = [word for part in reply.parts + reply.joints for word in re.findall(r"[A-Za-z]+", part)]
    wanted = {"upper": str.upper, "lower": str.lower, "title": str.capitalize}[case]
    return all(word == wanted(word) for word in written)


def _ordered(reply: Reply, order: str) -> bool:
    lowered = [part.lower() for part in reply.parts]
    return lowered == sorted(lowered, reverse=order == "reverse")


def _keys(reply: Reply, *keys: str) -> bool:
    """The keys are these, in this order, and each value belongs to its key."""
    return reply.keys == keys and all(
        value.lower() in MEMBERS[key] for key, value in zip(keys, reply.parts, strict=True)
    )


CHECKS: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {
        "count": lambda reply, n: len(reply.parts) == n,
        "from": lambda reply, category: all(part.lower() in MEMBERS[category] for part in reply.parts),
        "about": lambda reply, topic: all(is_sentence(topic, part) for part in reply.parts),
        "different": lambda reply: len({part.lower() for part in reply.parts}) == len(reply.parts),
        "same": lambda reply, word: all(part.lower() == word for part in reply.parts),
        "these": lambda reply, *words: sorted(part.lower() for part in reply.parts) == sorted(words),
        "keys": _keys,
        "value": lambda reply, key, word: key in reply.keys and reply.parts[reply.keys.index(key)].lower() == word,
        "case": _case,
        "order": _ordered,
        "first": lambda reply, word: reply.parts[0].lower() == word,
        "last": lambda reply, word: reply.parts[-1].lower() == word,
        "include": lambda reply, *words: set(words) <= set(_all_words(reply)),
        "avoid": lambda reply, *words: not set(words) & set(_all_words(reply)),
        "times": lambda reply, word, n: _all_words(reply).count(word) == n,
        "words": lambda reply, n: all(len(words_of(part)) == n for part in reply.parts),
        "most": lambda reply, n: len(_all_words(reply)) <= n,
        "least": lambda reply, n: len(_all_words(reply)) >= n,
    }
)


def read(specification: Mapping[str, Any], text: str) -> Reply | None:
    """The parts of `text`, or None where it is not laid out as the specification says."""
    body, begin, end = text.strip(), specification.get("begin", ""), specification.get("end", "")
    if len(body) < len(begin) + len(end) or not (body.startswith(begin) and body.endswith(end)):
        return None
    body = body[len(begin) : len(body) - len(end)].strip()
    reply = LAYOUTS[specification["layout"]](body)
    if reply is None or not reply.parts:
        return None
    if not specification.get("quoted"):
        return reply
    if not all(re.fullmatch(r'"[^"]*"', part) for part in reply.parts):
        return None
    return replace(reply, parts=tuple(part[1:-1] for part in reply.parts))


def holds(specification: str, text: str) -> bool:
    """Whether `text` is laid out as the specification, in JSON, says, and every check of it holds."""
    if len(text) > LONGEST_ANSWER or not text.isascii():
        return False
    wanted = json.loads(specification)
    reply = read(wanted, text)
    return reply is not None and all(CHECKS[name](reply, *arguments) for name, *arguments in wanted["checks"])
