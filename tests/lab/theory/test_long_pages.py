"""Pages on texts of different lengths: they count those that were measured, and judge changes text by text."""

import re
from dataclasses import replace

import numpy as np
import pytest

from dus.lab.theory import MarkovDenoiser, random_markov
from dus.lab.theory.calibrate import calibrate
from dus.lab.theory.gap import Gap, Mean, gaps
from dus.lab.theory.long import Context, contexts
from dus.lab.theory.losses import orders
from dus.lab.theory.report import gap, long
from dus.lab.theory.report import measured as report
from dus.lab.theory.texts import from_source

SOURCE = random_markov(4, 1)
MODEL = MarkovDenoiser(SOURCE)


@pytest.fixture(scope="module")
def texts():
    """Twelve texts, five of which are too short for a block of 8 behind 4 known tokens."""
    whole = from_source(SOURCE, 12, 12, known=4, seed=0)
    rows = [row[:9] if number % 5 in (1, 3) else row for number, row in enumerate(whole.rows)]
    return replace(whole, rows=rows, ends=[len(row) for row in rows])


def test_pages_count_the_texts_that_were_measured(texts):
    assert sum(len(row) == 12 for row in texts.rows) == 7
    measured = gaps(MODEL, texts, [1, 4])
    assert "means over 7 texts" in re.sub(r"\s+", " ", gap.page("", "picture", measured))
    assert "## Blocks of 8, of 7 texts\n" in report.orders(orders(MODEL, texts, 8))
    assert "## Blocks of 4, of 12 texts\n" in report.orders(orders(MODEL, texts, 4))
    found = list(contexts(MODEL, texts, [2, 4], block_length=8, spacings=(1, 4)))
    assert "of 8 tokens, from 7 texts, are" in re.sub(r"\s+", " ", long.page("", "", "picture", found, 8))
    found = list(contexts(MODEL, texts, [2, 4], block_length=4, spacings=(1, 4)))
    assert "of 4 tokens, from 12 texts (pairs: of 7 texts), are" in re.sub(
        r"\s+", " ", long.page("", "", "picture", found, 4)
    )
    judged = calibrate(MODEL, texts, [8], 8, calls=2)
    assert judged.texts == sum(len(row) == 12 for row in texts.rows[1::2])


def test_a_change_is_judged_on_the_same_texts():
    """What every text loses goes up by a little: certain, though texts differ by far more than that."""
    rng = np.random.default_rng(0)
    before = rng.normal(1.0, 0.5, size=50)
    pair = Gap(1, 2, *(np.ones(50) for _ in range(3)))
    short, far = (
        Context(tokens, [pair], Mean(1.0, 0.1), {"dus": lost})
        for tokens, lost in ((8, before), (64, before + rng.normal(0.05, 0.02, size=50)))
    )
    sentence = long.section([short, far])
    assert "more than noise" in sentence
    assert re.search(r"a change of \+0\.0[45]\d ± 0\.00\d on the same blocks", sentence)
    noise = replace(far, lost={"dus": rng.permutation(before)})
    assert "within noise" in long.section([short, noise])
