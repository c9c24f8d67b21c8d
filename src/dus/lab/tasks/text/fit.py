"""Fits the source of the task `text` on real text.

    python -m dus.lab.tasks.text.fit gsm8k_train.jsonl OUT.json

The first file has a JSON object on each line, whose `question` is used. The texts make one stream: a text begins as
after the last sign of another. Rare names become one of `NAMES`, numbers the nearest of `NUMBERS`; of what results the
most frequent units are the vocabulary, and the stream is cut where another one stands.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import log
from pathlib import Path
from zlib import crc32

from dus.lab.tasks.text.source import Context, TextSource, is_unit, parse

NAMES = ("Anna", "Emma", "James", "John", "Mary", "Tom")
NUMBERS = (*range(1, 13), 15, 20, 25, 30, 40, 50, 60, 80)


def fit(texts: Iterable[str], vocabulary: int = 256, order: int = 3, least: int = 10, gain: float = 12.0) -> TextSource:
    """The context tree of the texts, pruned by Rissanen's rule ("A universal data compression system", 1983).

    A context is kept where what follows it was counted at least `least` times and takes at least `gain` nats fewer to
    code by its own frequencies than by those after its suffix: n(c) KL(p(. | c), p(. | suffix)) >= gain; and where a
    longer kept one needs it. Contexts of one unit are all kept. What followed a context of two or more units only once
    is left to the smoothing, so that no rare phrase of a single text is stored.

    Args:
        texts: Passages.
        vocabulary: V, at most so many units.
        order: The longest context.
        least: The counts that a context of two or more units needs.
        gain: The least gain of a context, in nats.

    Raises:
        TaskError: Texts without a single unit.
    """
    stream = _plain([parse(text.replace("’", "'")) for text in texts])
    frequent = Counter(unit for unit in stream if is_unit(unit)).most_common()
    frequent.sort(key=lambda pair: (-pair[1], pair[0]))
    units = sorted(unit for unit, _ in frequent[:vocabulary])
    index = {unit: place for place, unit in enumerate(units)}
    counts = _counted([index.get(unit) for unit in stream], order)
    kept: set[Context] = set()
    for context in sorted(counts, key=len, reverse=True):
        worth = len(context) < 2 or (
            sum(counts[context].values()) >= least and _gain(counts[context], counts[context[1:]]) >= gain
        )
        if worth and context not in kept:
            kept.update(context[cut:] for cut in range(len(context) + 1))
    return TextSource(units, {context: _stored(context, counts[context]) for context in kept})


def _plain(texts: Sequence[Sequence[str]]) -> list[str]:
    """All texts as one stream, with few names and few numbers."""
    lower = {unit for text in texts for unit in text if unit.islower()}
    frequent = Counter(chain.from_iterable(texts))

    def plain(unit: str) -> str:
        if unit.isascii() and unit.isdigit():
            return str(min(NUMBERS, key=lambda number: abs(number - int(unit[:9]))))
        name = unit.istitle() and unit.isalpha() and len(unit) > 2 and unit.lower() not in lower
        # Weekdays, the only other capitals of this kind that are common, are left as they are.
        return NAMES[crc32(unit.encode()) % len(NAMES)] if name and not unit.endswith("day") else unit

    table = {unit: plain(unit) for unit in frequent}
    return [table[unit] for text in texts for unit in text]


def _counted(stream: Sequence[int | None], order: int) -> dict[Context, Counter[int]]:
    """What followed each stretch of at most `order` units; None, an unknown unit, is in no stretch."""
    counts: dict[Context, Counter[int]] = {(): Counter()}
    past: Context = ()
    for unit in stream:
        if unit is None:
            past = ()
            continue
        for cut in range(len(past) + 1):
            counts.setdefault(past[cut:], Counter())[unit] += 1
        past = (*past, unit)[-order:]
    return counts


def _gain(own: Counter[int], suffix: Counter[int]) -> float:
    """The nats that the counts `own` take fewer by their own frequencies than by the suffix's."""
    total, whole = sum(own.values()), sum(suffix.values())
    return sum(count * log(count / total * whole / suffix[unit]) for unit, count in own.items())


def _stored(context: Context, followed: Counter[int]) -> dict[int, int]:
    return {unit: count for unit, count in sorted(followed.items()) if count > 1 or len(context) < 2}


def main(arguments: Sequence[str]) -> None:
    """Fits on the questions of the first file and writes the source to the second."""
    if len(arguments) != 2:
        sys.exit("usage: python -m dus.lab.tasks.text.fit QUESTIONS.jsonl OUT.json")
    with Path(arguments[0]).open(encoding="utf-8") as lines:
        fit(json.loads(line)["question"] for line in lines).save(Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
