"""What deb loses and sums on sources, against the planner itself and against what is exact."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.lab.theory import entropy_of, planner_divergence
from dus.lab.theory.discounted import discounted, exact_shares, losses_and_sums, summed
from dus.lab.theory.randoms import KINDS, strands
from dus.planners import BlockState, DiscountedEntropyBounded, Prediction


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.sampled_from([0.1, 0.5, 2.0]))
def test_what_is_summed_of_a_choice_is_within_its_bound_and_no_position_more_would_be(seed, rho, gamma):
    """The planner counts bits, the sum is in nats."""
    generator = torch.Generator().manual_seed(seed)
    drawn = (4 * torch.randn(3, 7, 4, generator=generator, dtype=torch.float64)).softmax(dim=2)
    entropy = -(drawn * drawn.clamp(min=1e-300).log()).sum(dim=2)
    rule = DiscountedEntropyBounded(gamma, rho, f=0)
    bits = Prediction(entropy=entropy / torch.tensor(2.0).log())
    taken = rule.select(BlockState.begin(torch.ones(3, 7, dtype=torch.bool)), bits)
    nats = gamma * torch.tensor(2.0).log()
    assert (summed(rule, drawn, taken) <= nats + 1e-6).all()
    for row in range(3):
        last = entropy[row][taken[row]].max()
        for more in ((~taken[row]) & (entropy[row] > last)).nonzero()[:, 0].tolist():
            wider = taken.clone()
            wider[row, more] = True
            assert summed(rule, drawn, wider)[row] > nats - 1e-6


def test_shares_are_exact_on_copies_at_a_distance():
    source = strands(2, 4, 0.99)
    found = exact_shares(source, 6)
    assert [distance for distance, share in enumerate(found, start=1) if share > 1e-9] == [4]
    of = entropy_of(source)
    assert found[3] == pytest.approx((2 * of(1) - of(0b10001)) / of(1))


def test_a_single_rate_fails_on_copies_and_shares_by_offset_lose_nothing():
    found = discounted(strands(2, 4, 0.99), 8, rho=0.5, samples=60)
    assert found.calls == 3
    assert found.best <= min(found.dus, 1e-9)
    text, estimate = found.within["deb, shares"]
    assert "file='shares.json'" in text
    assert estimate.nats < 1e-9 < found.dus
    assert estimate.nats < found.within["deb"][1].nats


def test_without_a_discount_what_is_summed_bounds_what_is_lost():
    source = KINDS["second order, two strands"].source(0.9, 0)
    rule = DiscountedEntropyBounded(0.5, 1.0, f=0)
    found = losses_and_sums(source, rule, 8, samples=200)
    assert 0 < found.loss.nats <= found.summed + 2 * found.loss.error
    exact = planner_divergence(source, "dus", 8).nats
    assert exact == pytest.approx(discounted(source, 8, rho=0.7, samples=20).dus)
