"""Log-likelihoods against sums over all masks, and against sources whose every probability is known."""

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.harness.likelihood import Likelihood, canvases, masks_of
from dus.lab.theory import MarkovDenoiser, random_hidden, random_markov

from .standins import Counter, denoiser, hashed, letters


def estimate(model, context, continuation, *, batch_size=64, **kwargs):
    ((_, found),) = Likelihood(model, **kwargs).estimates([(context, continuation)], batch_size)
    return found


def by_all_masks(model, context, continuation, scale=0.0):
    """Equation 6 of LLaDA's paper, written out: a mean over numbers of masks of means over sets of so many."""
    length, mask = len(continuation), model.mask_token_id
    means = []
    for count in range(1, length + 1):
        terms = []
        for chosen in combinations(range(length), count):
            text = [mask if place in chosen else token for place, token in enumerate(continuation)]
            read = torch.tensor([len(context) + place for place in chosen])
            logits = model.logits(torch.tensor([context + text]), read=read)[0].double()
            blind = model.logits(torch.tensor([[mask] * len(context) + text]), read=read)[0].double()
            law = (blind + (1 + scale) * (logits - blind)).log_softmax(dim=-1)
            terms.append(length / count * sum(float(law[at, continuation[place]]) for at, place in enumerate(chosen)))
        means.append(sum(terms) / len(terms))
    return sum(means) / length


def true_log_probability(source, tokens):
    """By the forward algorithm, in plain numpy."""
    law, total = source.initial, 0.0
    for token in tokens:
        joint = law * source.emission[:, token]
        total += math.log(joint.sum())
        law = joint / joint.sum() @ source.transition
    return total


@pytest.mark.parametrize("scale", [0.0, 0.7])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_short_continuations_are_averaged_over_all_their_masks(length, scale):
    model, context, continuation = hashed(3), [1, 5, 2], [4, 0, 7, 3][:length]
    found = estimate(model, context, continuation, cfg_scale=scale)
    assert found.value == pytest.approx(by_all_masks(model, context, continuation, scale), abs=1e-4)
    assert found.error == 0.0


@pytest.mark.parametrize("scale", [0.0, 0.7])
def test_drawn_masks_give_the_same_on_average(scale):
    model, context, continuation = hashed(4), [1, 5], [4, 0, 7, 3]
    drawn = [estimate(model, context, continuation, samples=9, seed=seed, cfg_scale=scale) for seed in range(250)]
    values = np.array([found.value for found in drawn])
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert 0.0 < error < 0.5
    assert abs(values.mean() - by_all_masks(model, context, continuation, scale)) < 4 * error
    assert all(found.error > 0 for found in drawn)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), context=st.integers(0, 4), length=st.integers(1, 6), hidden=st.booleans())
def test_a_perfect_denoiser_gives_the_true_probability(seed, context, length, hidden):
    source = random_hidden(3, 4, seed=seed) if hidden else random_markov(4, 2, seed=seed)
    tokens = source.sample(1, context + length, seed)[0].tolist()
    truth = true_log_probability(source, tokens) - true_log_probability(source, tokens[:context])
    found = estimate(MarkovDenoiser(source), tokens[:context], tokens[context:])
    assert found.value == pytest.approx(truth, abs=1e-9)


def test_a_longer_text_of_a_perfect_denoiser_is_within_its_standard_error():
    source = random_hidden(4, 4, seed=5)
    model, tokens = MarkovDenoiser(source), source.sample(1, 14, 2)[0].tolist()
    truth = true_log_probability(source, tokens)
    off = [
        (found.value - truth) / found.error for found in (estimate(model, [], tokens, seed=seed) for seed in range(40))
    ]
    assert np.square(off).mean() == pytest.approx(1, abs=0.6)
    assert abs(np.mean(off)) < 4 / math.sqrt(len(off))


def test_the_standard_error_is_the_spread_over_seeds():
    model, context, continuation = hashed(6), [2], [1, 6, 3, 3, 0, 5, 2, 7, 4]
    drawn = [estimate(model, context, continuation, samples=64, seed=seed, batch_size=256) for seed in range(150)]
    spread = np.var([found.value for found in drawn], ddof=1)
    assert np.mean([found.error**2 for found in drawn]) == pytest.approx(spread, rel=0.35)


def test_sixteen_times_the_masks_quarter_the_standard_error():
    model = hashed(7)
    pairs = [([number], [1, 6, 3, 3, 0, 5, 2, 7, 4, 1, 1]) for number in range(8)]

    def error(samples):
        found = Likelihood(model, samples=samples, seed=1).estimates(pairs, 512)
        return np.mean([estimate.error for _, estimate in found])

    assert error(64) / error(1024) == pytest.approx(4, rel=0.25)


@given(length=st.integers(1, 40), samples=st.integers(1, 200), seed=st.integers(0, 2**64))
def test_masks_are_spread_evenly_over_their_numbers_and_weigh_as_much_as_there_are_tokens(length, samples, seed):
    masks, weights = masks_of(length, samples, [seed])
    counts = masks.sum(axis=1)
    assert (weights * counts).sum() == pytest.approx(length)
    assert counts.min() >= 1
    if len(masks) == 2**length - 1 <= samples:
        assert len({mask.tobytes() for mask in masks}) == len(masks)
        assert (weights[:, None] * masks).sum(axis=0) == pytest.approx(np.ones(length))
    else:
        assert len(masks) == samples
        often = np.bincount(counts, minlength=length + 1)[1:]
        assert set(often) <= {samples // length, -(-samples // length)}


def test_every_token_is_masked_equally_often():
    masks = np.concatenate([masks_of(10, 40, [seed])[0] for seed in range(500)])
    assert masks.mean(axis=0) == pytest.approx(np.full(10, 0.55), abs=0.02)


def test_the_seed_reproduces_and_neither_batches_nor_neighbours_matter():
    model = hashed(8)
    pairs = [([2, 5], [1, 6, 3, 3, 0, 5]), ([], [1, 2, 3, 4, 5, 6, 7]), ([7, 7, 7], [0, 1, 0, 1, 0, 1, 0])]

    def found(seed=0, batch_size=16, pairs=pairs):
        return dict(Likelihood(model, samples=20, seed=seed).estimates(pairs, batch_size))

    once = found()
    assert found() == once == found(batch_size=1) == found(batch_size=1000)
    assert {2 - number: estimate for number, estimate in found(pairs=pairs[::-1]).items()} == once
    assert all(found(seed=1)[number].value != once[number].value for number in once)
    assert found(seed=-1) != found(seed=1)


def test_every_pair_has_masks_of_its_own():
    pairs = [([1, 2], [3] * 12), ([1, 4], [3] * 12), ([1, 2], [5] * 12), ([1, 2, 3], [3] * 11)]
    drawn = [[], [], [], []]
    for masked in canvases(pairs, 9, samples=6, seed=0):
        drawn[masked.pair].append(tuple(masked.read.tolist()))
    assert len({tuple(reads) for reads in drawn}) == 4


def test_choices_of_one_token_behind_one_context_cost_one_row():
    model = Counter(hashed(9))
    pairs = [([1, 2], [choice]) for choice in range(4)] + [([1, 3], [choice]) for choice in range(4)]
    values = [found.value for _, found in sorted(Likelihood(model).estimates(pairs, 8))]
    assert model.rows == 2
    assert values == [estimate(model, *pair).value for pair in pairs]


def test_an_impossible_token_makes_a_text_impossible():
    tokenizer = letters()
    model = denoiser(
        lambda canvas: torch.zeros(*canvas.shape, len(tokenizer)).index_fill(-1, torch.tensor(3), -torch.inf)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimate(model, [], [1, 3]).value == -math.inf
        found = estimate(model, [], [1, 3] * 10, samples=16)
    assert found.value == -math.inf
    assert math.isnan(found.error)


def test_a_batch_as_large_as_any_can_be_tried():
    model = Counter(hashed(10))
    Likelihood(model).attempt([([1, 2, 3], [4]), ([1], [2, 3, 4, 5])], 7)
    assert model.rows == 7


@pytest.mark.parametrize("cfg_scale", [0.0, 1.0])
def test_a_device_without_float64_gives_the_same(without_float64, cfg_scale):
    pairs = [([0, 1], [2, 3, 4]), ([], [5, 1]), ([3], [1] * 9)]
    model = hashed(4)
    found = Likelihood(without_float64(model), samples=8, cfg_scale=cfg_scale).estimates(pairs, 4)
    assert list(found) == list(Likelihood(model, samples=8, cfg_scale=cfg_scale).estimates(pairs, 4))
