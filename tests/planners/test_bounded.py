"""EB, CB and factor against their formulas."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import BlockState, ConfidenceBounded, EntropyBounded, Factor, PlannerError, Prediction

from . import plain
from .blocks import batches, offsets, quick, sixteenths

gammas = st.integers(0, 80).map(lambda number: number / 16) | st.just(math.inf)
factors = st.integers(1, 80).map(lambda number: number / 16)


def check(planner, batch, name, rule, bound):
    chosen = offsets(planner.select(batch.block, batch.prediction))
    assert chosen == [rule(row.scores[name], row.masked, bound) for row in batch.rows]


@quick
@given(batches(max_width=16), gammas)
def test_eb_takes_the_longest_prefix_under_the_bound(batch, gamma):
    check(EntropyBounded(gamma), batch, "entropy", plain.entropy_bounded, gamma)


@quick
@given(batches(max_width=16), sixteenths(), st.integers(1, 9))
def test_cb_takes_the_confident_and_always_the_most_confident(batch, tau, least):
    rule = partial(plain.confidence_bounded, least=least)
    check(ConfidenceBounded(tau, least), batch, "confidence", rule, tau)


@quick
@given(batches(max_width=16), factors)
def test_factor_takes_the_longest_prefix_under_the_bound(batch, f):
    check(Factor(f), batch, "confidence", plain.factor, f)


def test_a_threshold_that_float32_does_not_hold_is_met_by_the_confidence_that_rounds_to_it():
    block = BlockState.begin(torch.ones(1, 2, dtype=torch.bool))
    prediction = Prediction(confidence=torch.tensor([[0.95, 0.9]]))
    assert ConfidenceBounded(0.9).select(block, prediction).all()


@quick
@given(batches(max_width=16))
def test_certain_positions_are_all_taken_by_every_rule(batch):
    certain = Prediction(entropy=torch.zeros(batch.block.masked.shape), confidence=torch.ones(batch.block.masked.shape))
    for planner in (EntropyBounded(0), ConfidenceBounded(1), Factor(0.0625)):
        assert torch.equal(planner.select(batch.block, certain), batch.block.masked)


def test_adaptive_planners_announce_no_number_of_steps():
    assert all(planner.num_steps(8) is None for planner in (EntropyBounded(), ConfidenceBounded(), Factor()))


@pytest.mark.parametrize(
    ("kind", "bound"),
    [
        (EntropyBounded, -0.1),
        (EntropyBounded, math.nan),
        (ConfidenceBounded, -0.1),
        (ConfidenceBounded, 1.1),
        (ConfidenceBounded, math.nan),
        (Factor, 0),
        (Factor, math.nan),
    ],
)
def test_bounds_that_cannot_be_meant_are_refused(kind, bound):
    with pytest.raises(PlannerError):
        kind(bound)
