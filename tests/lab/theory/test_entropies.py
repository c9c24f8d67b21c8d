import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.lab.theory import (
    TheoryError,
    all_entropies,
    conditionals,
    contiguous,
    divergence,
    entropy,
    entropy_of,
    equal_sizes,
    markov,
    random_hidden,
    random_markov,
    schedule_of,
    step_gaps,
    true_law,
)


def schedules(length):
    """Partitions of a block into groups, in every order."""
    return st.lists(st.integers(0, length - 1), min_size=length, max_size=length).map(
        lambda steps: [[place for place in range(length) if steps[place] == step] for step in sorted(set(steps))]
    )


def test_all_entropies_equal_the_joint_tables(source, joint, table_entropies):
    expected = table_entropies(joint(source, 6))
    assert np.abs(all_entropies(source, 6) - expected).max() < 1e-10
    for mask in range(64):
        assert entropy(source, [place for place in range(6) if mask >> place & 1]) == pytest.approx(
            expected[mask], abs=1e-10
        )


@pytest.mark.parametrize("context", [1, 2, 3])
def test_entropies_given_context(source, joint, table_entropies, context):
    whole = table_entropies(joint(source, 4 + context))
    seen = (1 << context) - 1
    expected = whole[seen :: 1 << context] - whole[seen]
    assert np.abs(all_entropies(source, 4, context) - expected).max() < 1e-10
    of = entropy_of(source, context)
    assert [of(mask) for mask in range(16)] == pytest.approx(list(expected), abs=1e-10)


def test_conditionals_are_differences(source):
    table = all_entropies(source, 4)
    known = conditionals(table)
    assert known[0b0101, 1] == pytest.approx(table[0b0111] - table[0b0101])
    assert known[0b0101, 0] == 0


@settings(deadline=None, max_examples=40)
@given(schedule=schedules(6), seed=st.integers(0, 5))
def test_divergence_is_what_brute_force_says(schedule, seed):
    source = random_markov(2, 2, 0.8, lag=1 + seed % 2, seed=seed)
    table = all_entropies(source, 6)
    law = _sampled_by_hand(source, schedule, 6)
    truth = true_law(source, 6)
    assert law.sum() == pytest.approx(1)
    expected = (truth * np.log(truth / law.ravel())).sum()
    found = divergence(schedule, table.item)
    assert found == pytest.approx(expected, abs=1e-10)
    assert found >= -1e-12
    assert all(step.gap >= -1e-12 for step in step_gaps(schedule, table.item))


def _sampled_by_hand(source, schedule, length):
    """The sampled law as a product of conditionals, each from sums over the joint table."""
    joint = true_law(source, length).reshape((source.vocab,) * length)

    def marginal(places):
        return joint.sum(axis=tuple(axis for axis in range(length) if axis not in places), keepdims=True)

    law, seen = np.ones_like(joint), set()
    for group in schedule:
        for place in group:
            law = law * marginal(seen | {place}) / marginal(seen)
        seen |= set(group)
    return law


def test_one_token_a_step_loses_nothing_and_one_step_loses_the_total_correlation(source):
    of = entropy_of(source)
    assert divergence([[place] for place in (3, 0, 4, 1, 2)], of) == pytest.approx(0, abs=1e-12)
    total = sum(of(1 << place) for place in range(5)) - of(31)
    assert divergence([[0, 1, 2, 3, 4]], of) == pytest.approx(total)


@pytest.mark.parametrize("length", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("context", [0, 1, 3])
def test_first_order_identity(length, context):
    """The total divergence of DUS is I(X_1; X_{1+B/2}) given the context."""
    source = random_markov(5, 1, 0.9, seed=length)
    of = entropy_of(source, context)
    middle = 1 << length // 2
    information = of(1) + of(middle) - of(1 | middle)
    assert divergence(schedule_of("dus", length), of) == pytest.approx(information, abs=1e-10)


@pytest.mark.parametrize("flip", [0.05, 0.2, 0.5])
def test_symmetric_two_state_chain_in_closed_form(flip):
    source = markov([[1 - flip, flip], [flip, 1 - flip]])

    def h(chance):
        return -sum(p * math.log(p) for p in (chance, 1 - chance) if p > 0)

    def apart(distance):
        return (1 - (1 - 2 * flip) ** distance) / 2

    assert entropy(source, [2, 5, 6]) == pytest.approx(math.log(2) + h(apart(3)) + h(flip))
    expected = math.log(2) - h(apart(4))
    assert divergence(schedule_of("dus", 8), entropy_of(source)) == pytest.approx(expected, abs=1e-12)


def test_schedules_of_planners():
    assert schedule_of("dus", 8) == [[0, 4], [2, 6], [1, 3, 5, 7]]
    assert schedule_of("left-to-right(steps=2)", 4) == contiguous(4, equal_sizes(4, 2)) == [[0, 1], [2, 3]]
    assert schedule_of("random(per_step=2)", 6, row=0) != schedule_of("random(per_step=2)", 6, row=1)


def test_long_blocks_of_a_first_order_chain():
    assert entropy(random_markov(3, 1, 0.9), range(0, 3000, 7)) > 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: all_entropies(random_hidden(4, 4), 20), "blocks up to [0-9]+ positions are feasible"),
        (lambda: entropy(random_hidden(4, 4), range(40)), "a sampled divergence has no such limit"),
        (lambda: divergence([[0], [0, 1]], lambda mask: 0.0), "each position"),
        (lambda: divergence([[0], []], lambda mask: 0.0), "each position"),
        (lambda: schedule_of("confidence", 4), "looks at predictions"),
        (lambda: contiguous(4, [1, 2]), "do not make up"),
        (lambda: equal_sizes(4, 5), "1 to 4 steps"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(TheoryError, match=message):
        make()
