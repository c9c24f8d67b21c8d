import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.lab.theory import (
    TheoryError,
    from_tokens,
    hidden,
    markov,
    mixing_rate,
    period,
    random_hidden,
    random_markov,
    random_variable_order,
    stationary,
    true_law,
    variable_order,
)
from dus.lab.theory.chains import require_mixing


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(["markov", "lagged", "variable", "hidden"]),
    rate=st.floats(0.05, 0.98),
    seed=st.integers(0, 1000),
)
def test_random_sources_have_the_rate_that_is_asked_for(kind, rate, seed):
    make = {
        "markov": lambda: random_markov(4, 1, rate, seed=seed),
        "lagged": lambda: random_markov(2, 3, rate, lag=2, seed=seed),
        "variable": lambda: random_variable_order(2, 3, rate, seed=seed),
        "hidden": lambda: random_hidden(3, 2, rate, seed=seed),
    }
    source = make[kind]()
    assert source.rate == pytest.approx(rate, abs=1e-6)
    assert source.initial @ source.transition == pytest.approx(source.initial, abs=1e-12)
    assert source.initial.sum() == pytest.approx(1)


def test_two_state_chain_in_closed_form():
    source = markov([[0.9, 0.1], [0.1, 0.9]])
    assert source.initial == pytest.approx([0.5, 0.5])
    assert source.rate == pytest.approx(0.8)
    flip = np.array([[0.7, 0.3], [0.6, 0.4]])
    assert stationary(flip) == pytest.approx([2 / 3, 1 / 3])
    assert mixing_rate(flip) == pytest.approx(0.1)


def test_order_k_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(3), size=9)
    law = true_law(markov(table, 2), 4).reshape(3, 3, 3, 3)
    pairs = law.sum(axis=(2, 3))
    for first in range(3):
        for second in range(3):
            for third in range(3):
                for fourth in range(3):
                    expected = (
                        pairs[first, second] * table[3 * first + second, third] * table[3 * second + third, fourth]
                    )
                    assert law[first, second, third, fourth] == pytest.approx(expected, abs=1e-14)


def test_variable_order_takes_the_longest_suffix():
    leaves = {(0,): [0.9, 0.1], (0, 1): [0.2, 0.8], (1, 1): [0.5, 0.5]}
    table = [[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]  # after 00, 01, 10, 11
    assert true_law(variable_order(leaves), 5) == pytest.approx(true_law(markov(table, 2), 5))


def test_counts_of_a_text():
    text = [0, 1, 0, 1, 0, 0, 1]
    source = from_tokens(text, 2, order=1, smoothing=1e-9)
    assert source.transition == pytest.approx(np.array([[0.25, 0.75], [1, 0]]), abs=1e-6)
    # by hand: the empty context has (4 + a/2) / (7 + a) zeros without the order's first token: 6 tokens counted
    smooth = from_tokens(text, 2, order=1, smoothing=2.0)
    zero = (3 + 2 * 0.5) / (6 + 2)
    assert smooth.transition[0] == pytest.approx([(1 + 2 * zero) / (4 + 2), (3 + 2 * (1 - zero)) / (4 + 2)])


def test_rare_contexts_answer_as_their_parents():
    text = [0, 1, 0, 1, 0, 1, 1, 0, 1]
    source = from_tokens(text, 2, order=2, smoothing=1.0, least_count=3)
    law = true_law(source, 3).reshape(2, 2, 2)
    after_11, after_1 = (
        law[1, 1, 1] / law[1, 1].sum(),
        from_tokens(text[1:], 2, order=1, smoothing=1.0).transition[1, 1],
    )
    assert after_11 == pytest.approx(after_1, abs=1e-9)


def test_samples_have_the_laws_frequencies(source):
    texts = source.sample(40_000, 3, seed=1)
    code = texts @ source.vocab ** np.array([2, 1, 0])
    seen = np.bincount(code, minlength=source.vocab**3) / len(texts)
    law = true_law(source, 3)
    assert (np.abs(seen - law) < 5 * np.sqrt(law / len(texts)) + 1e-9).all()


def test_transient_states_are_dropped():
    source = hidden([[0.5, 0.5, 0.0], [0.3, 0.7, 0.0], [0.2, 0.2, 0.6]], np.eye(3))
    assert source.states == 2
    assert source.vocab == 3


def test_periods():
    assert period(np.array([[0.0, 1.0], [1.0, 0.0]])) == 2
    assert period(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])) == 1
    cycle = np.roll(np.eye(6), 1, axis=1)
    assert period(cycle) == 6
    cycle[0] = [0, 0.5, 0, 0.5, 0, 0]
    assert period(cycle) == math.gcd(6, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: markov([[0.5, 0.6], [0.5, 0.5]]), "not stochastic: row 0 sums to 1.1"),
        (lambda: markov([[1.5, -0.5], [0.5, 0.5]]), "no probability"),
        (lambda: markov([0.5, 0.5]), "shape"),
        (lambda: markov(np.eye(2)), "reducible"),
        (lambda: markov([[0.5, 0.5]] * 3, 2), "has 4 contexts, not 3 rows"),
        (lambda: markov([[0.5, 0.5]] * 2, 0), "at least 1"),
        (lambda: markov(np.full((2, 30), 1 / 30), 3), "which is order 2"),
        (lambda: hidden([[0.5, 0.5], [0.5, 0.5]], np.eye(3)), "do not fit"),
        (lambda: variable_order({}), "at least one leaf"),
        (lambda: variable_order({(0,): [0.5, 0.5]}), "no leaf is a suffix"),
        (lambda: from_tokens([0, 3], 2), "outside a vocabulary"),
        (lambda: from_tokens([0], 2), "no counts"),
        (lambda: from_tokens([0, 1], 2, smoothing=0), "smoothing"),
        (lambda: random_markov(2, 1, 1.5), "between 0 and 1"),
        (lambda: random_markov(2, 2, 0.5, lag=3), "1 to 2 tokens back"),
        (lambda: random_hidden(2, 2, 0.5, noise=2), "noise"),
        (lambda: require_mixing(np.array([[0.0, 1.0], [1.0, 0.0]])), "periodic with period 2"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(TheoryError, match=message):
        make()
