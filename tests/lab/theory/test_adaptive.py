import numpy as np
import pytest

from dus.lab.theory import (
    TheoryError,
    divergence,
    entropy_of,
    planner_divergence,
    random_markov,
    sampled_law,
    schedule_of,
    true_law,
)
from dus.lab.theory.sampling import log_true


@pytest.mark.parametrize("planner", ["dus", "dus(order=fine-to-coarse)", "left-to-right(steps=2)", "random(steps=3)"])
def test_enumeration_of_a_schedule_equals_its_conditional_total_correlation(source, planner):
    truth, (sampled, calls) = true_law(source, 5), sampled_law(source, planner, 5)
    assert sampled.sum() == pytest.approx(1)
    kl = (truth * np.log(truth / sampled)).sum()
    assert kl == pytest.approx(divergence(schedule_of(planner, 5), entropy_of(source)), abs=1e-10)
    assert calls == pytest.approx(len(schedule_of(planner, 5)))


@pytest.mark.parametrize(
    "planner",
    ["eb(gamma=0.5)", "entropy(steps=2)", "margin(steps=3)", "dus(order=entropy)", "dus(order=entropy, by=mean)"],
)
def test_sampling_agrees_with_enumeration(source, planner):
    exact = planner_divergence(source, planner, 5)
    sampled = planner_divergence(source, planner, 5, samples=2000)
    assert exact.error == 0
    assert exact.nats >= -1e-12
    assert abs(sampled.nats - exact.nats) < 4 * sampled.error + 1e-9


@pytest.mark.parametrize("planner", ["confidence(steps=2)", "cb(tau=0.6)", "factor(f=0.5)", "dus | deferred"])
def test_confidence_of_the_likeliest_token(source, planner):
    exact = planner_divergence(source, planner, 5, likeliest=True)
    sampled = planner_divergence(source, planner, 5, likeliest=True, samples=2000)
    assert abs(sampled.nats - exact.nats) < 4 * sampled.error + 1e-9


def test_one_token_a_step_is_exact_unless_draws_are_chosen(source):
    assert planner_divergence(source, "entropy", 5).nats == pytest.approx(0, abs=1e-10)
    assert planner_divergence(source, "confidence", 5, likeliest=True).nats == pytest.approx(0, abs=1e-10)
    assert planner_divergence(source, "confidence", 5).nats > 0.01


def test_choosing_among_draws_in_closed_form():
    """Two independent fair positions: whichever draw looks likelier goes first, the law stays; biased ones shift."""
    chance = 0.8
    source = random_markov(2, 1, None)
    source = type(source)(np.full((1, 1), 1.0), np.array([[chance, 1 - chance]]), np.ones(1), None)
    law, calls = sampled_law(source, "confidence", 2)
    # A position goes first with a 0 unless neither drew one; the other is then drawn anew.
    both = chance * chance + (1 - chance) * chance * chance
    assert law[0] == pytest.approx(both)
    assert law[3] == pytest.approx((1 - chance) ** 2 * (1 - chance))
    assert calls == pytest.approx(2)


def test_log_true_is_the_sources_own_law(source):
    import torch

    from dus.lab.theory import MarkovDenoiser

    texts = torch.cartesian_prod(*[torch.arange(source.vocab)] * 4)
    assert log_true(MarkovDenoiser(source), texts).exp().numpy() == pytest.approx(true_law(source, 4), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: planner_divergence(s, "confidence", 30), "up to [0-9]+ positions are feasible"),
        (lambda s: planner_divergence(s, "confidence", 8, samples=10), "reads the confidence of the tokens drawn"),
        (lambda s: planner_divergence(s, "remdm", 4), "changes tokens that it wrote"),
    ],
)
def test_bad_input(source, make, message):
    with pytest.raises(TheoryError, match=message):
        make(source)
