"""The text that each token of an answer adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def pieces(tokenizer: Any, tokens: Sequence[int]) -> tuple[str, ...]:
    """For each token the part of the decoded text that it adds; bytes of a character not yet whole add nothing.

    What a token adds is seen by decoding it behind those before it, back to the last one that completed a character.
    """
    found = []
    before = since = 0
    for at in range(1, len(tokens) + 1):
        old = tokenizer.decode(list(tokens[before:since]))
        new = tokenizer.decode(list(tokens[before:at]))
        whole = at == len(tokens) or not new.endswith("\N{REPLACEMENT CHARACTER}")
        found.append(new[len(old) :] if whole else "")
        if whole:
            before, since = since, at
    return tuple(found)
