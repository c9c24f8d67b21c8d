"""What one token tells of another at a distance, against what is exact on a source."""

import pytest

from dus.lab.theory import MarkovDenoiser, TheoryError, entropy_of, exact_gap, from_source
from dus.lab.theory.randoms import KINDS
from dus.lab.theory.shares import shares

KNOWN, LONGEST = 8, 3


def test_a_share_is_what_one_token_tells_of_another_over_its_entropy():
    source = KINDS["first order"].source(0.7, 0)
    texts = from_source(source, 600, KNOWN + 2 * LONGEST, known=KNOWN, seed=1)
    found = shares(MarkovDenoiser(source), texts, LONGEST).values
    of = entropy_of(source, KNOWN)
    for distance, share in enumerate(found, start=1):
        alone = sum(of(1 << place) + of(1 << place + distance) for place in range(LONGEST)) / (2 * LONGEST)
        assert share == pytest.approx(exact_gap(source, distance, 2, LONGEST, KNOWN) / alone, rel=0.2, abs=0.01)
    assert found == sorted(found, reverse=True)


def test_a_block_of_one_position_has_no_distance():
    source = KINDS["first order"].source(0.7, 0)
    with pytest.raises(TheoryError, match="blocks of at least 2 positions"):
        shares(MarkovDenoiser(source), from_source(source, 4, 8), 0)
