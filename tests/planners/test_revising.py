"""Saber and ReMDM against their formulas."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from dus.planners import BlockState, PlannerError, Prediction, ReMDM, Saber
from dus.planners.counter import uniform

from . import plain
from .blocks import batches, beginnings, offsets, quick
from .loop import World, decode


@quick
@given(batches(max_width=24), st.integers(1, 9))
def test_saber_drafts_above_the_mean_and_takes_back_what_fell_most(batch, n):
    planner = Saber(n)
    drafts = offsets(planner.select(batch.block, batch.prediction))
    backs = offsets(planner.revise(batch.block, batch.prediction))
    for row, draft, back in zip(batch.rows, drafts, backs, strict=True):
        scores = row.scores
        expected = plain.saber(scores["confidence"], scores["token_confidence"], row.then, row.masked, row.unmasked, n)
        assert (draft, back) == expected


def test_saber_drafts_what_exceeds_the_mean_and_takes_back_an_eighth_of_it_rounded_up():
    """Of 30 masked positions 25 are above the mean of 0.5 and five equal it; four of the ten others have fallen."""
    masked = torch.arange(40)[None] >= 10
    then, now = torch.full((1, 40), 0.5), torch.full((1, 40), 0.5)
    now[0, [2, 3, 5, 7]] = 0.25
    block = BlockState.begin(torch.ones(1, 40, dtype=torch.bool)).after(~masked, masked & False, then)
    confidence = torch.where(torch.arange(40) < 35, 0.75, 0.5)[None]
    prediction = Prediction(confidence=confidence, token_confidence=now)
    assert offsets(Saber(n=2).select(block, prediction)) == [set(range(10, 35))]
    assert offsets(Saber(n=2).revise(block, prediction)) == [{2, 3, 5, 7}]


@quick
@given(batches(max_width=16, max_step=15), st.integers(1, 12), st.integers(0, 99))
def test_remdm_draws_what_it_takes_back_and_fills_up_to_the_schedule(batch, steps, seed):
    planner = ReMDM(steps, seed)
    backs = offsets(planner.revise(batch.block, batch.prediction))
    chosen = offsets(planner.select(batch.block, batch.prediction))
    for row, back, found in zip(batch.rows, backs, chosen, strict=True):
        size = len(row.initially)
        of_row = min(steps, size)
        chances = plain.remdm_chances(row.then, row.unmasked, row.step, of_row)
        draws = {k: uniform(seed, *map(torch.tensor, (row.index, row.start + k, row.step))).item() for k in chances}
        assume(all(abs(draws[k] - chances[k]) > 1e-5 for k in chances))
        assert back == {k for k in chances if draws[k] < chances[k]}
        kept = len(row.unmasked - back)
        confidence = row.scores["confidence"]
        assert found == plain.remdm_selected(confidence, row.masked, kept, row.step, size, of_row)


@pytest.mark.parametrize(("size", "step", "largest"), [(8, 2, (1 - 3 / 4) / (2 / 4)), (16, 1, 1)])
def test_remdm_takes_unsure_tokens_back_as_often_as_the_formula_says(size, step, largest):
    """Four are unmasked before this step of four; softmax(-c) shares sigma_max among them."""
    rows, then = 20000, [0.9, 0.5, 0.1, 0.3]
    unmasked = (torch.arange(size) < 4).expand(rows, -1)
    confidence = torch.tensor([*then, *[0.0] * (size - 4)]).expand(rows, -1)
    block = BlockState.begin(torch.ones(rows, size, dtype=torch.bool)).after(unmasked, unmasked & False, confidence)
    rate = ReMDM(steps=4).revise(block.at(torch.full((rows,), step)), Prediction()).float().mean(dim=0)
    chances = plain.remdm_chances(then, range(4), step=step, steps=4)
    assert sum(chances.values()) == pytest.approx(largest)
    assert rate[:4].tolist() == pytest.approx([*chances.values()], abs=0.015)
    assert not rate[4:].any()


@quick
@given(beginnings(max_width=20), st.integers(1, 24), st.integers(0, 99))
def test_remdm_takes_its_steps_and_in_the_last_nothing_back(block, steps, seed):
    calls = decode(ReMDM(steps, seed), block, World(seed, block.row, block.masked.shape[1]))
    for size, row in zip(block.masked.sum(dim=1).tolist(), calls, strict=True):
        assert len(row) == min(steps, size)
        assert not row or not row[-1].revised


@quick
@given(batches(), st.integers(1, 4))
def test_what_a_step_takes_back_it_does_not_unmask(batch, n):
    for planner in (Saber(n), ReMDM(n)):
        revised = planner.revise(batch.block, batch.prediction)
        assert not (revised & planner.select(batch.block, batch.prediction)).any()
        assert not (revised & (batch.block.given | batch.block.masked)).any()


def test_saber_wants_the_tokens_that_it_may_take_back_and_nothing_that_was_given():
    masked = torch.tensor([[True, True, False, True]])
    block = BlockState.begin(masked)
    block = block.after(torch.tensor([[True, False, False, False]]), masked & False)
    assert offsets(Saber().wanted(block)) == [{0, 1, 3}]


@pytest.mark.parametrize("make", [lambda: Saber(0), lambda: ReMDM(0)])
def test_counts_that_cannot_be_meant_are_refused(make):
    with pytest.raises(PlannerError):
        make()
