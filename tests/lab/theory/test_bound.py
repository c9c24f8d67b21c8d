import math

import numpy as np
import pytest

from dus.lab.theory import TheoryError, all_entropies, decay, markov, random_markov


def test_dependence_is_what_entropies_say(source):
    table = all_entropies(source, 9)
    found = decay(source, [1, 2, 4], terms=2)
    for spacing, nats in zip((1, 2, 4), found.information, strict=True):
        comb = 1 << spacing | 1 << 2 * spacing
        assert nats == pytest.approx(table[1] + table[comb] - table[1 | comb], abs=1e-12)


def test_the_bound_holds_and_data_processing_too(source):
    found = decay(source, range(1, 13), terms=4)
    assert (found.information <= found.bound + 1e-11).all()
    assert (found.information <= found.states + 1e-11).all()


def test_symmetric_chain_falls_with_the_square_of_its_rate():
    flip = 0.1
    found = decay(markov([[1 - flip, flip], [flip, 1 - flip]]), range(1, 25), terms=3)
    apart = (1 - 0.8**found.spacings) / 2
    expected = math.log(2) + apart * np.log(apart) + (1 - apart) * np.log(1 - apart)
    assert found.information == pytest.approx(expected, abs=1e-12)
    assert found.fitted_rate == pytest.approx(0.8**2, abs=0.005)
    assert found.rate == pytest.approx(0.8)


def test_further_terms_only_add():
    source = random_markov(2, 2, 0.9, lag=2)
    nats = [decay(source, [2], terms=terms).information[0] for terms in (1, 2, 4, 8)]
    assert nats == sorted(nats)


def test_bad_input():
    with pytest.raises(TheoryError, match="periodic with period 2"):
        decay(markov([[0, 1], [1, 0]]), [1])
    with pytest.raises(TheoryError, match="start at 1"):
        decay(random_markov(2, 1), [0])
