"""The gap of a denoiser: true on sources, nothing where nothing depends, told where a denoiser contradicts itself."""

import math

import numpy as np
import pytest
import torch

from dus.denoisers import from_callable
from dus.lab.theory import MarkovDenoiser, Mean, TheoryError, all_entropies, exact_gap, from_source, gaps, markov
from dus.lab.theory.report import gap as report


def factorised(canvas):
    """Position i holds token i mod 3 with odds of its own, whatever else is known."""
    return torch.nn.functional.one_hot(torch.arange(canvas.shape[1]) % 3, 5).float().expand(*canvas.shape, 5)


def contradicting(canvas):
    """Uniform where all behind it is masked; sure of token 0 once anything is known but it."""
    known = (canvas != 3).sum(dim=1)[:, None, None].clamp(max=6) - 4
    return torch.tensor([4.0, 0.0, 0.0, 0.0]) * (known > 0).expand(*canvas.shape, 4)


def texts_of(source, count=400, length=20, known=2):
    return from_source(source, count, length, known=known, seed=1)


def test_the_exact_gap_is_what_entropies_say(source):
    table = all_entropies(source, 6, 2)
    pairs = [table[1 << place] + table[4 << place] - table[5 << place] for place in range(4)]
    assert exact_gap(source, 2, 2, 4, 2) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_the_estimate_is_true_within_its_error(source):
    found = gaps(MarkovDenoiser(source), texts_of(source), [1, 2, 4], [2, 3], context=2, most_context=2)
    assert [(gap.spacing, gap.size) for gap in found] == [(s, k) for k in (2, 3) for s in (1, 2, 4)]
    for gap in found:
        true = exact_gap(source, gap.spacing, gap.size, 4, 2)
        for values in (gap.gap, gap.divergence):
            mean = Mean.of(values)
            assert abs(mean.nats - true) < 5 * mean.error + 1e-6, gap
            assert mean.error < 0.1
        assert (gap.divergence >= 0).all()


def test_the_divergence_is_sharper_where_dependence_is_weak():
    source = markov([[0.6, 0.4], [0.4, 0.6]])
    [gap] = gaps(MarkovDenoiser(source), texts_of(source), [1])
    assert Mean.of(gap.divergence).error < Mean.of(gap.gap).error / 3


def test_a_copy_shares_all_of_its_entropy():
    source = markov([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]])
    texts = from_source(source, 50, 8)
    [gap] = gaps(MarkovDenoiser(source), texts, [2], [3], context=0)
    assert gap.marginals == pytest.approx(np.full(50, 3 * math.log(2)), abs=1e-6)
    assert gap.joint == pytest.approx(np.full(50, math.log(2)), abs=1e-6)


def test_a_factorised_denoiser_has_no_gap():
    model = from_callable(factorised, mask_token_id=4, vocab_size=5)
    source = markov(np.full((4, 4), 0.25))
    for gap in gaps(model, texts_of(source, 20), [1, 3], [2, 4]):
        assert gap.gap == pytest.approx(np.zeros(20), abs=1e-5)
        assert gap.divergence == pytest.approx(np.zeros(20), abs=1e-6)
        assert (gap.marginals > 1).all()


def test_the_mask_token_is_no_outcome():
    model = from_callable(lambda canvas: torch.zeros(*canvas.shape, 3), mask_token_id=2, vocab_size=3)
    [gap] = gaps(model, texts_of(markov(np.full((2, 2), 0.5)), 5), [1])
    assert gap.marginals == pytest.approx(np.full(5, 2 * math.log(2)), abs=1e-6)


def test_a_denoiser_that_contradicts_itself_is_told():
    model = from_callable(contradicting, mask_token_id=3, vocab_size=4)
    source = markov(np.full((3, 3), 1 / 3))
    found = gaps(model, texts_of(source, 20, known=4), [1, 2, 4], context=4, most_context=4)
    words = report.section(found, report.fitted(found), {})
    assert "contradict its marginals" in words
    honest = gaps(MarkovDenoiser(source), texts_of(source, 20), [1, 2, 4])
    assert "the conditionals fit together" in report.section(honest, report.fitted(honest), {})


def test_the_same_seed_gives_the_same_numbers(source):
    one, same, other = (
        gaps(MarkovDenoiser(source), texts_of(source, 10), [2], seed=seed)[0].divergence for seed in (1, 1, 2)
    )
    assert (one == same).all()
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("spacings", "sizes", "part"),
    [([], [2], "spacings from 1"), ([0], [2], "spacings from 1"), ([1], [1], "at least 2 positions")],
)
def test_bad_input(source, spacings, sizes, part):
    with pytest.raises(TheoryError, match=part):
        gaps(MarkovDenoiser(source), texts_of(source, 4), spacings, sizes)


def test_texts_that_are_too_short_are_told(source):
    with pytest.raises(TheoryError, match=r"0 of the 4 texts have 30 tokens to mask behind 0 known ones.* leaves 18"):
        gaps(MarkovDenoiser(source), texts_of(source, 4), [15])


def test_a_broken_denoiser_is_told():
    model = from_callable(lambda canvas: torch.full((*canvas.shape, 3), torch.nan), mask_token_id=2, vocab_size=3)
    with pytest.raises(TheoryError, match="gave NaN"):
        gaps(model, texts_of(markov(np.full((2, 2), 0.5)), 5), [1])
