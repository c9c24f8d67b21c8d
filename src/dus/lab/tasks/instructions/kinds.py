"""What the kinds of request ask for: each function states the request, adds its checks and returns a right answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dus.lab.tasks.instructions import grammar, wording
from dus.lab.tasks.instructions.checks import words_of
from dus.lab.tasks.instructions.draft import Draft
from dus.lab.tasks.instructions.wording import MEMBERS, TOPICS

MENUS = {
    "list": ("layout", "layout", "case", "quoted", "begin", "end", "order", "first", "last", "include", "avoid"),
    "prose": (
        "layout", "case", "wrapped", "begin", "end", "words", "words", "most", "least", "times", "include", "include",
        "avoid",
    ),
    "record": ("case", "quoted", "begin", "end", "value", "value", "avoid"),
    "repeat": ("layout", "layout", "case", "quoted", "begin", "end"),
    "sort": ("layout", "layout", "case", "quoted", "begin", "end"),
}  # fmt: skip
CONFLICTS = (
    {"case", "begin"}, {"case", "end"}, {"wrapped", "begin"}, {"wrapped", "end"}, {"wrapped", "layout"},
    {"order", "first"}, {"order", "last"}, {"words", "most"}, {"words", "least"}, {"most", "least"},
    {"most", "begin"}, {"most", "end"}, {"least", "begin"}, {"least", "end"}, {"times", "include"},
    {"first", "begin"}, {"last", "end"},
)  # fmt: skip
SIZES = {
    "list": {1: (3, 4), 2: (6, 10), 3: (8, 11)},
    "prose": {2: (2, 6), 3: (5, 11)},
    "record": {1: (2, 3), 2: (4, 6), 3: (5, 8)},
    "repeat": {1: (2, 4), 2: (6, 12), 3: (8, 14)},
    "sort": {2: (5, 8), 3: (8, 10)},
}
ALL_MEMBERS = tuple(member for members in MEMBERS.values() for member in members)

Answer = tuple[list[str], list[str]]


def _avoid(draft: Draft, words: list[str]) -> None:
    draft.say("avoid" if len(words) == 1 else "avoid several", words=wording.joined(words))
    draft.check("avoid", *words)


def _list(draft: Draft, n: int) -> Answer:
    """`n` different members of a category, the commoner ones first, as people list things."""
    rng = draft.rng
    category = rng.choice(tuple(MEMBERS))
    pool = rng.sample(MEMBERS[category], len(MEMBERS[category]))
    draft.open("list", n=draft.number(n), topic=wording.PLURALS[category])
    for name, *arguments in (("count", n), ("from", category), ("different",)):
        draft.check(name, *arguments)
    if draft.has("avoid"):
        _avoid(draft, [pool.pop() for _ in range(rng.randint(1, 2))])
    items = sorted(pool[:n], key=MEMBERS[category].index)
    chosen = rng.sample(items[1:-1], rng.randint(1, min(2, n - 2))) if draft.has("include") else []
    if chosen:
        draft.say("include", words=wording.joined(chosen))
        draft.check("include", *chosen)
    for place, item in (("first", items[0]), ("last", items[-1])):
        if draft.has(place):
            draft.say(place, word=item)
            draft.check(place, item)
    if draft.has("order"):
        order = rng.choice(tuple(wording.ORDERS))
        items.sort(reverse=order == "reverse")
        draft.say("order", order=wording.ORDERS[order])
        draft.check("order", order)
    return items, []


def _content_words(draft: Draft, topic: str, count: int) -> list[tuple[str, str]]:
    """`count` words of the topic with their slots, no two forms of one word."""
    rng, of = draft.rng, TOPICS[topic]
    drawn: dict[str, tuple[str, str]] = {}
    while len(drawn) < count:
        slot = rng.choice(("noun", "noun", "verb", "adjective"))
        word = rng.choice({"noun": of.nouns, "verb": of.verbs, "adjective": of.adjectives}[slot])
        ending = "s" if slot != "adjective" and rng.random() < 0.5 else ""
        drawn.setdefault(word, (slot, word + ending))
    return list(drawn.values())


def _prose(draft: Draft, n: int) -> Answer:
    """`n` different sentences about a topic."""
    rng = draft.rng
    topic = rng.choice(tuple(TOPICS))
    if draft.has("layout") or draft.has("times"):
        n = max(n, 2)
    draft.open("one sentence" if n == 1 else "sentences", n=draft.number(n), topic=topic)
    for name, *arguments in (("count", n), ("about", topic), ("different",)):
        draft.check(name, *arguments)
    if not draft.has("layout"):
        draft.layout = "sentences"
    pool = _content_words(draft, topic, 4)
    avoid: list[str] = []
    if draft.has("avoid"):
        avoid = [pool.pop()[1] for _ in range(rng.randint(1, 2))]
        _avoid(draft, avoid)
    uses = _uses(draft, n, pool)
    length = _length(draft, n)
    sentences: dict[str, None] = {}
    never = (*avoid, pool[0][1]) if draft.has("times") else tuple(avoid)
    for use in rng.sample(uses + [None] * (n - len(uses)), n):
        before = len(sentences)
        while len(sentences) == before:
            sentences[grammar.write(rng, topic, length, never, use)] = None
    _total(draft, sum(len(words_of(sentence)) for sentence in sentences))
    return [sentence[0].upper() + sentence[1:] + "." for sentence in sentences], []


def _uses(draft: Draft, n: int, pool: list[tuple[str, str]]) -> list[tuple[str, str] | None]:
    """The words that have to be used, each with its slot, one for a sentence."""
    if draft.has("times"):
        k = draft.rng.randint(2, min(n, 4))
        draft.say("times", word=pool[0][1], n=draft.number(k))
        draft.check("times", pool[0][1], k)
        return [pool[0]] * k
    if not draft.has("include"):
        return []
    chosen = pool[: draft.rng.randint(1, min(n, 2))]
    words = [word for _, word in chosen]
    draft.say("use" if len(words) == 1 else "use several", words=wording.joined(words))
    draft.check("include", *words)
    return list(chosen)


def _length(draft: Draft, n: int) -> int | None:
    """The words of each sentence, where the request says how many."""
    if not draft.has("words"):
        return None
    length = draft.rng.choice(grammar.LENGTHS)
    draft.say("words in one" if n == 1 else "words", n=draft.number(length))
    draft.check("words", length)
    return length


def _total(draft: Draft, total: int) -> None:
    """Bounds for the words of all sentences, near the number that there are."""
    for name, sign in (("most", 1), ("least", -1)):
        if draft.has(name):
            bound = total + sign * draft.rng.randint(0, 3)
            draft.say(name, n=draft.number(bound))
            draft.check(name, bound)


def _record(draft: Draft, n: int) -> Answer:
    """A value for each of `n` keys."""
    rng = draft.rng
    keys = rng.sample(tuple(MEMBERS), n)
    values = [rng.choice(MEMBERS[key]) for key in keys]
    draft.open("record", keys=wording.joined(keys))
    draft.check("keys", *keys)
    if draft.has("value"):
        chosen = rng.randrange(n)
        draft.say("value", key=keys[chosen], word=values[chosen])
        draft.check("value", keys[chosen], values[chosen])
    if draft.has("avoid"):
        others = [member for key in keys for member in MEMBERS[key] if member not in values]
        _avoid(draft, rng.sample(others, rng.randint(1, 2)))
    return values, keys


def _repeat(draft: Draft, n: int) -> Answer:
    """One word `n` times."""
    word = draft.rng.choice(ALL_MEMBERS)
    draft.open("repeat", n=draft.number(n), word=word)
    draft.check("count", n)
    draft.check("same", word)
    return [word] * n, []


def _sort(draft: Draft, n: int) -> Answer:
    """`n` given words in order."""
    words = draft.rng.sample(ALL_MEMBERS, n)
    order = draft.rng.choice(tuple(wording.ORDERS))
    draft.open("sort", words=", ".join(words), order=wording.ORDERS[order])
    draft.check("these", *words)
    draft.check("order", order)
    return sorted(words, reverse=order == "reverse"), []


ASK: Mapping[str, Callable[[Draft, int], Answer]] = MappingProxyType(
    {"list": _list, "prose": _prose, "record": _record, "repeat": _repeat, "sort": _sort}
)
