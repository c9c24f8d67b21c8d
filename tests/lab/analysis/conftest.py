"""Runs made by hand, and planners' step numbers from the planners' own rules."""

from dataclasses import replace

import numpy as np
import pytest

from dus.lab.analysis import Answer, Traced
from dus.planners.dilated import strides


def dus_steps(block_length, blocks=1):
    """The steps of DUS by its formula: the first t with (k - 1) mod s_t = 0, blocks one after the other."""
    ladder = strides(block_length, 2)
    own = [next(t for t, stride in enumerate(ladder) if k % stride == 0) for k in range(block_length)]
    return [step + block * len(ladder) for block in range(blocks) for step in own]


def answer(pieces, step, **more):
    """An answer of these tokens; its scores count up, so that none is like another."""
    count = len(step)
    usual = {
        "prompt": "a prompt",
        "pieces": tuple(pieces),
        "step": np.array(step, dtype=np.int64),
        "confidence": (np.arange(count) + 1) / (count + 1),
        "entropy": np.arange(count) / 4,
        "calls": max(step, default=-1) + 1,
        "useful": count,
    }
    return Answer(**{**usual, **more})


class Bytes:
    """A tokenizer with a token for each byte."""

    def __len__(self):
        return 256

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")


HOSTILE = ("</script>", "<img src=x onerror=1>", "&amp;", '"', "'", "\n", "\x00", "\u202e", "$x^", "", " four", "a\tb")


@pytest.fixture
def runs():
    """Two planners at two block lengths on 12 hostile tokens, every position observed."""
    entropies = np.where(np.arange(12) >= np.arange(4)[:, None], 1.5, np.nan)
    first = answer(HOSTILE, [0, 2, 1, 3] * 3, entropies=entropies, useful=11, prompt="why <b>$5</b> & ￿?\ud800")
    plain = answer(["x"] * 8, [0, 1, 2, 3, 0, 1, 2, 3])
    one = Traced("dus", 4, (first, plain), "a model")
    other = Traced(
        "eb(gamma=1) | spaced(gap=$_4)",
        4,
        (replace(first, step=np.zeros(12, dtype=int), entropies=entropies[:1]), plain),
    )
    return [one, other, replace(one, block_length=6), replace(other, block_length=6)]
