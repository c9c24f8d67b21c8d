"""Losses on texts: divergences on sources, sums of logarithms by hand, the same in any batch."""

import math

import numpy as np
import pytest
import torch

from dus.lab.theory import (
    MarkovDenoiser,
    Texts,
    TheoryError,
    divergence,
    entropy_of,
    from_source,
    planner_divergence,
    schedule_of,
    true_law,
)
from dus.lab.theory.gap import Mean
from dus.lab.theory.losses import losses, orders, planners_of_orders
from dus.planners import DUS


def blocks_of(source, length, count=600, context=0):
    return from_source(source, count, length + context, known=context, seed=5).blocks(MarkovDenoiser(source), length)


@pytest.mark.parametrize("planner", ["dus", "left-to-right(steps=2)", "random(steps=3, seed=4)"])
def test_schedules_lose_their_divergence(source, planner):
    blocks = blocks_of(source, 8, context=2)
    # A random planner sees texts as rows, so it has a schedule of its own for each; all of them lose alike on average.
    rows = range(len(blocks)) if planner.startswith("random") else [0]
    true = np.mean([divergence(schedule_of(planner, 8, row), entropy_of(source, 2)) for row in rows[:60]])
    found = losses(blocks, planner).above(losses(blocks, "left-to-right"))
    assert abs(8 * (found.nats) - true) < 5 * 8 * found.error + 1e-9


def test_planners_that_look_lose_what_enumeration_says(source):
    blocks = blocks_of(source, 4)
    token_by_token = losses(blocks, "left-to-right")
    for planner in ("eb(gamma=1)", "dus(order=entropy)", "confidence(steps=2)", "cb(tau=0.7)"):
        true = planner_divergence(source, planner, 4, likeliest=True)
        found = losses(blocks, planner)
        mean = found.above(token_by_token)
        assert abs(4 * mean.nats - true.nats) < 5 * 4 * mean.error + 1e-9, planner
        calls = Mean.of(found.calls)
        assert abs(calls.nats - planner_divergence(source, planner, 4, likeliest=True, samples=600).calls) < 0.2


def test_token_by_token_costs_minus_the_logarithm_of_the_text(source):
    blocks = blocks_of(source, 4, count=20)
    law = true_law(source, 4)
    code = blocks.truth.numpy() @ source.vocab ** np.arange(3, -1, -1)
    for planner in ("left-to-right", "random", "entropy"):
        assert losses(blocks, planner).nats == pytest.approx(-np.log(law[code]), abs=1e-9)


def test_texts_of_different_lengths_cost_what_they_cost_alone(source):
    rows = [torch.from_numpy(source.sample(1, length, length)[0]) for length in (9, 12, 20, 31)]
    texts = Texts(rows, [1, 4, 8, 15], [len(row) for row in rows], "mixed")
    model = MarkovDenoiser(source)
    together = texts.blocks(model, 4, seed=3)
    found = losses(together, "dus").nats
    for number, truth in enumerate(together.truth):
        places = rows[number].unfold(0, 4, 1).eq(truth).all(dim=1).nonzero()[:, 0].tolist()
        alone = []
        for start in places:
            canvas = rows[number].clone()
            canvas[start:] = model.mask_token_id
            total = 0.0
            for level in schedule_of(DUS(), 4):
                law = model.logits(canvas[None], read=torch.tensor(level) + start)[0]
                total -= float(law.gather(1, truth[level, None]).sum())
                canvas[torch.tensor(level) + start] = truth[level]
            alone.append(total)
        assert min(abs(found[number] - each) for each in alone) < 1e-9


def test_the_context_is_cut_and_the_blocks_are_the_same(source):
    texts = from_source(source, 10, 40)
    model = MarkovDenoiser(source)
    cut = [texts.blocks(model, 4, context=tokens, most_context=12, seed=1) for tokens in (0, 3, 12)]
    assert all(torch.equal(blocks.truth, cut[0].truth) for blocks in cut)
    assert [blocks.first for blocks in cut] == [0, 3, 12]


def test_what_takes_tokens_back_is_refused(source):
    with pytest.raises(TheoryError, match="changes tokens that it wrote"):
        losses(blocks_of(source, 4, count=4), "saber")


def test_orders_all_take_the_calls_of_dus_and_are_told_apart():
    from dus.lab.theory import markov

    source = markov([[0.95, 0.05], [0.05, 0.95]])
    found = {each.planner: each for each in orders(MarkovDenoiser(source), from_source(source, 100, 20, known=2), 8)}
    assert list(found) == planners_of_orders(8)
    assert all(each.calls == 3 for each in found.values())
    assert found["dus"].behind.nats == found["dus"].behind.error == 0
    assert found["dus(order=fine-to-coarse)"].behind.nats > 2 * found["dus(order=fine-to-coarse)"].behind.error
    assert math.isclose(
        found["left-to-right(steps=3)"].behind.nats, found["left-to-right(steps=3)"].lost.nats - found["dus"].lost.nats
    )
