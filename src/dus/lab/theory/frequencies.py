"""How often each token occurs in texts, for the planner `pc`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dus.lab.theory.chains import TheoryError
from dus.lab.theory.texts import Texts
from dus.writing.files import write


def frequencies(texts: Texts) -> dict[int, int]:
    """For each token how often it occurs in what is to be generated of the texts: no prompt, no filling behind the end.

    Raises:
        TheoryError: texts of which nothing is to be generated.
    """
    found: Counter[int] = Counter()
    for row, first, end in zip(texts.rows, texts.firsts, texts.ends, strict=True):
        found.update(row[first:end].tolist())
    if not found:
        raise TheoryError(f"{texts.name} holds no token behind its prompts")
    return dict(sorted(found.items()))


def write_frequencies(path: Path, counts: Mapping[int, int], vocab_size: int, about: Mapping[str, object]) -> None:
    """Write counts to a file that the planner `pc(file=…)` reads; it appears when it is whole.

    Args:
        path: where to.
        counts: of the tokens, by their ids.
        vocab_size: of the model that the ids are for.
        about: where the texts come from, for whoever opens the file.
    """
    record = {"vocab_size": vocab_size, "counts": dict(counts), "about": dict(about)}
    write(path, json.dumps(record, ensure_ascii=False) + "\n")
