"""Spacing and deferral around other planners."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import (
    DUS,
    BlockState,
    Confidence,
    ConfidenceBounded,
    Deferred,
    Entropy,
    EntropyBounded,
    Planner,
    PlannerError,
    Prediction,
    ReMDM,
    Saber,
    Spaced,
)

from . import plain
from .blocks import batches, beginnings, offsets, quick, sixteenths
from .loop import World, decode

inners = st.sampled_from(
    [ConfidenceBounded(0.25), EntropyBounded(2), Confidence(per_step=4), Entropy(per_step=5), DUS(), Saber(4)]
)
SIGN = {"entropy": -1}


def score_of(planner, row):
    """The row's scores by which a planner ranks, higher first."""
    name = "entropy" if isinstance(planner, EntropyBounded | Entropy) else "confidence"
    return [SIGN.get(name, 1) * value for value in row.scores[name]]


@quick
@given(batches(max_width=20), inners, st.integers(1, 24))
def test_spacing_walks_the_selection_best_first_and_keeps_what_is_far_enough_apart(batch, inner, gap):
    selected = offsets(inner.select(batch.block, batch.prediction))
    found = offsets(Spaced(inner, gap).select(batch.block, batch.prediction))
    for row, before, after in zip(batch.rows, selected, found, strict=True):
        assert after == plain.spaced(score_of(inner, row), before, len(row.masked), row.length, gap)


@quick
@given(batches(max_width=20), inners)
def test_a_gap_of_zero_switches_spacing_off(batch, inner):
    spaced = Spaced(inner, 0).select(batch.block, batch.prediction)
    assert torch.equal(spaced, inner.select(batch.block, batch.prediction))


@dataclass(frozen=True)
class Everything(Planner):
    """All masks at once."""

    def select(self, block, prediction):
        return block.masked


@quick
@given(batches(max_width=20), st.integers(1, 12))
def test_spacing_walks_hopeless_positions_from_the_left(batch, gap):
    hopeless = Prediction(confidence=torch.full(batch.block.masked.shape, -torch.inf))
    found = offsets(Spaced(Everything(), gap).select(batch.block, hopeless))
    for row, kept in zip(batch.rows, found, strict=True):
        assert kept == plain.spaced([0] * batch.width, row.masked, len(row.masked), row.length, gap)


@quick
@given(batches(max_width=20), inners, sixteenths())
def test_deferral_keeps_the_confident_or_the_most_confident_of_the_selection(batch, inner, threshold):
    planner = Deferred(inner, threshold)
    selected = offsets(inner.select(batch.block, batch.prediction))
    found = offsets(planner.select(batch.block, batch.prediction))
    for row, before, after in zip(batch.rows, selected, found, strict=True):
        steps = inner.num_steps(row.length)
        last = steps is not None and row.step >= steps - 1
        assert after == (row.masked if last else plain.deferred(row.scores["confidence"], before, threshold))


@quick
@given(batches(max_width=20), st.sampled_from([DUS(), DUS(base=3), Confidence(steps=3), Confidence(like=DUS())]))
def test_in_the_last_step_of_a_schedule_deferral_wants_and_takes_all_that_is_left(batch, inner):
    planner = Deferred(inner, threshold=1)
    last = batch.block.at(torch.tensor([inner.num_steps(row.length) - 1 for row in batch.rows]))
    assert torch.equal(planner.wanted(last) & last.masked, last.masked)
    assert torch.equal(planner.select(last, batch.prediction), last.masked)


@quick
@given(beginnings(), st.sampled_from([DUS(), DUS(order="random"), Confidence(steps=4), ReMDM(5)]), st.integers(0, 99))
def test_deferral_takes_no_more_calls_than_the_inner_planner_announces(block, inner, seed):
    calls = decode(Deferred(inner, 0.75), block, World(seed, block.row, block.masked.shape[1]))
    for length, row in zip(block.length.tolist(), calls, strict=True):
        assert len(row) <= inner.num_steps(length)


def test_only_deferral_keeps_the_number_of_steps():
    assert Deferred(DUS()).num_steps(32) == DUS().num_steps(32) == 5
    assert Deferred(EntropyBounded()).num_steps(32) is None
    assert Spaced(DUS()).num_steps(32) is None
    assert Deferred(Spaced(DUS())).num_steps(32) is None


def test_wrappers_revise_where_the_inner_planner_does():
    assert Spaced(Deferred(Saber())).revises
    assert not Deferred(Spaced(DUS())).revises


@quick
@given(batches(), st.sampled_from([Spaced, Deferred]))
def test_what_the_inner_planner_takes_back_is_taken_back(batch, wrapper):
    assert torch.equal(
        wrapper(Saber()).revise(batch.block, batch.prediction), Saber().revise(batch.block, batch.prediction)
    )


@pytest.mark.parametrize(
    ("wrapper", "value"), [(Spaced, -1), (Deferred, -0.1), (Deferred, 1.1), (Deferred, float("nan"))]
)
def test_fields_that_cannot_be_meant_are_refused(wrapper, value):
    with pytest.raises(PlannerError):
        wrapper(DUS(), value)


def test_spaced_rejects_neighbours_and_takes_them_later():
    block = BlockState.begin(torch.ones(1, 6, dtype=torch.bool))
    calls = decode(Spaced(ConfidenceBounded(0), gap=2), block, World(1, block.row, 6))
    for call in calls[0]:
        assert all(k + 1 not in call.unmasked for k in call.unmasked)
    assert set().union(*(call.unmasked for call in calls[0])) == set(range(6))
