"""The discounted bound against its definition, by itself and among all subsets of a block of 8."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import BlockState, DiscountedEntropyBounded, EntropyBounded, PlannerError, Prediction

from . import plain
from .blocks import batches, offsets, quick, sixteenths

bounds = st.integers(0, 64).map(lambda number: number / 16)
rates = st.sampled_from([0, 0.25, 0.5, 1])
"""Powers that float32 holds and sums exactly in blocks of 8."""


@quick
@given(batches(max_width=8), bounds, rates, sixteenths())
def test_the_choice_is_the_definitions(batch, gamma, rho, sure):
    found = offsets(DiscountedEntropyBounded(gamma, rho, sure).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        certain = {k for k in row.masked if row.scores["confidence"][k] >= sure}
        assert taken == plain.discounted(row.scores["entropy"], certain or row.masked, gamma, rho)


@quick
@given(batches(max_width=8), bounds, rates)
def test_of_all_subsets_whose_every_beginning_is_within_the_bound_the_surest_is_taken(batch, gamma, rho):
    found = offsets(DiscountedEntropyBounded(gamma, rho, sure=0).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        entropy = row.scores["entropy"]
        order = sorted(row.masked, key=lambda k: (entropy[k], k))
        places = range(len(order))
        within = []
        for size in range(1, len(order) + 1):
            for chosen in combinations(places, size):
                subset = [order[place] for place in chosen]
                beginnings = (subset[: n + 1] for n in range(size))
                if all(plain.discounted_cost(entropy, beginning, rho) <= gamma for beginning in beginnings):
                    within.append(chosen)
        surest = max(within, key=lambda chosen: [place in chosen for place in places])
        assert taken == {order[place] for place in surest}


@quick
@given(batches(max_width=20), bounds)
def test_without_a_discount_it_is_the_entropy_bound(batch, gamma):
    ours = DiscountedEntropyBounded(gamma, rho=1, sure=0).select(batch.block, batch.prediction)
    assert torch.equal(ours, EntropyBounded(gamma).select(batch.block, batch.prediction))


@quick
@given(batches(max_width=20), st.data())
def test_where_only_neighbours_count_and_none_is_allowed_isolated_positions_are_taken(batch, data):
    """None of uncertain positions has a neighbour, and whoever was left out has one that is surer."""
    entropy = batch.prediction.entropy + 1 / 16
    scores = Prediction(entropy=entropy)
    found = offsets(DiscountedEntropyBounded(0, rho=0, sure=0).select(batch.block, scores))
    for values, row, taken in zip(entropy.tolist(), batch.rows, found, strict=True):
        assert not any(k + 1 in taken for k in taken)
        for k in row.masked - taken:
            assert any((values[j], j) < (values[k], k) for j in (k - 1, k + 1) if j in taken)


@quick
@given(batches(max_width=8), bounds, bounds, rates, rates)
def test_where_two_settings_part_the_larger_bound_and_the_smaller_rate_go_on(batch, gamma, more, rho, other):
    """By rising entropy, at the first position that only one of the two takes."""

    def choices(bound, rate):
        return offsets(DiscountedEntropyBounded(bound, rate, sure=0).select(batch.block, batch.prediction))

    low, high = sorted([rho, other])
    pairs = ((choices(gamma, rho), choices(gamma + more, rho)), (choices(gamma, high), choices(gamma, low)))
    for strict, loose in pairs:
        for row, fewer, further in zip(batch.rows, strict, loose, strict=True):
            order = sorted(row.masked, key=lambda k: (row.scores["entropy"][k], k))
            parting = next((k for k in order if (k in fewer) != (k in further)), None)
            assert parting is None or parting in further


def test_what_is_rejected_may_be_followed_by_a_farther_position_that_fits():
    entropy = torch.tensor([[1.0, 2, 9, 9, 9, 3]])
    block = BlockState.begin(torch.tensor([[True, True, False, False, False, True]]))
    assert offsets(DiscountedEntropyBounded(0.5, rho=0.5, sure=0).select(block, Prediction(entropy=entropy))) == [
        {0, 5}
    ]


@pytest.mark.parametrize("fields", [{"gamma": -1}, {"rho": 1.5}, {"rho": float("nan")}, {"sure": -0.1}])
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError, match="deb: "):
        DiscountedEntropyBounded(**fields)
