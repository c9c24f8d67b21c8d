"""KLASS, LocalLeap, WINO and early commits against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import (
    KLASS,
    WINO,
    BlockState,
    Confidence,
    ConfidenceBounded,
    LocalLeap,
    PlannerError,
    Prediction,
    Prophet,
)

from . import plain
from .blocks import batches, beginnings, offsets, quick, sixteenths
from .loop import World, decode

gaps = st.integers(0, 48).map(lambda number: number / 3 + 0.01)
"""Thresholds that no mean of logarithms of these tests meets to within rounding."""


@quick
@given(batches(), sixteenths(), st.integers(1, 16).map(lambda number: number / 16))
def test_klass_takes_what_is_confident_and_was_stable_for_two_steps(batch, tau, kl):
    found = offsets(KLASS(tau, kl).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        scores = row.scores
        assert taken == plain.klass(scores["confidence"], scores["divergence"], row.before, row.masked, tau, kl)


@quick
@given(beginnings(max_width=12), st.integers(0, 99))
def test_klass_goes_token_by_token_until_it_has_seen_three_steps(block, seed):
    calls = decode(KLASS(0, 99), block, World(seed, block.row, block.masked.shape[1]))
    for masked, row in zip(offsets(block.masked), calls, strict=True):
        # A confidence of zero does not exceed the bound, so at the third call some positions may be left.
        assert [len(call.unmasked) for call in row[:2]] == [1] * min(2, len(masked))


@quick
@given(batches(max_width=20), sixteenths(), sixteenths(), st.integers(0, 8))
def test_localleap_lowers_the_bar_beside_anchors(batch, one, other, radius):
    relaxed, tau = sorted([one, other])
    found = offsets(LocalLeap(tau, relaxed, radius).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        assert taken == plain.localleap(row.scores["confidence"], row.masked, tau, relaxed, radius)


@quick
@given(batches(max_width=20), sixteenths(), st.integers(0, 8))
def test_localleap_that_lowers_nothing_is_the_confidence_bound(batch, tau, radius):
    bound = ConfidenceBounded(tau).select(batch.block, batch.prediction)
    assert torch.equal(LocalLeap(tau, tau, radius).select(batch.block, batch.prediction), bound)


@quick
@given(batches(max_width=40), sixteenths(), sixteenths())
def test_wino_drafts_widely_and_takes_the_doubtful_back(batch, wide, narrow):
    planner = WINO(wide, narrow)
    drafts = offsets(planner.select(batch.block, batch.prediction))
    backs = offsets(planner.revise(batch.block, batch.prediction))
    for row, draft, back in zip(batch.rows, drafts, backs, strict=True):
        latest = len(row.unmasked) if row.step == 1 else 0  # these tests' rows wrote all of it at step 0
        scores = row.scores
        expected = plain.wino(
            scores["confidence"], scores["token_confidence"], row.masked, row.unmasked, latest, wide, narrow
        )
        assert (draft, back) == expected


def test_wino_takes_back_fewer_than_the_step_before_wrote():
    confidence = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.9, 0.9, 0.9, 0.9, 0.1]])
    now = torch.tensor([[0.2, 0.1, 0.95, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0]])
    block = BlockState.begin(torch.ones(1, 9, dtype=torch.bool))
    block = block.after(torch.arange(9)[None] == 0).after((torch.arange(9)[None] < 4) & (torch.arange(9)[None] > 0))
    prediction = Prediction(confidence=confidence, token_confidence=now)
    assert offsets(WINO().select(block, prediction)) == [{4, 5, 6, 7}]
    assert offsets(WINO().revise(block, prediction)) == [{0, 1}]


@quick
@given(batches(max_width=16), gaps, gaps, gaps)
def test_prophet_commits_where_the_likeliest_tokens_lead_by_far(batch, early, mid, late):
    inner = Confidence(per_step=2)
    found = offsets(Prophet(inner, early, mid, late).select(batch.block, batch.prediction))
    own = offsets(inner.select(batch.block, batch.prediction))
    for row, selected, taken in zip(batch.rows, own, found, strict=True):
        scores = row.scores["confidence"], row.scores["margin"]
        commits = plain.prophet_commits(*scores, row.masked, row.initially, (early, mid, late))
        assert taken == (row.masked if commits else selected)


def test_a_gap_of_infinity_never_commits_and_of_zero_always():
    block = BlockState.begin(torch.ones(1, 6, dtype=torch.bool))
    sure = Prediction(confidence=torch.ones(1, 6), margin=torch.ones(1, 6))
    unsure = Prediction(confidence=torch.full((1, 6), 0.5), margin=torch.zeros(1, 6))
    assert offsets(Prophet(Confidence(), math.inf).select(block, sure)) == [{0}]
    assert offsets(Prophet(Confidence(), 0).select(block, unsure)) == [set(range(6))]
    assert offsets(Prophet(Confidence()).select(block, sure)) == [set(range(6))]


@pytest.mark.parametrize(
    "make",
    [
        lambda: KLASS(tau=1.1),
        lambda: KLASS(kl=0),
        lambda: LocalLeap(tau=0.5, relaxed=0.6),
        lambda: LocalLeap(radius=-1),
        lambda: WINO(wide=-0.1),
        lambda: WINO(narrow=2),
        lambda: Prophet(Confidence(), late=-1),
        lambda: ConfidenceBounded(least=0),
    ],
)
def test_fields_that_cannot_be_meant_are_refused(make):
    with pytest.raises(PlannerError):
        make()
