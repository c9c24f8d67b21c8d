"""The discounted bound against its definition, by itself and among all subsets of a block of 8."""

import json
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import (
    BlockState,
    Deferred,
    DiscountedEntropyBounded,
    EntropyBounded,
    PlannerError,
    Prediction,
    Spaced,
    parse,
)

from . import plain
from .blocks import batches, offsets, quick, sixteenths

bounds = st.integers(0, 64).map(lambda number: number / 16)
rates = st.sampled_from([0, 0.25, 0.5, 1])
"""Powers that float32 holds and sums exactly in blocks of 8."""
factors = st.sampled_from([0, 0.5, 1, 2])


def sure(confidence, masked, f):
    """What the factor rule takes; nothing where not even one position passes."""
    return {k for k in plain.factor(confidence, masked, f) if f and 2 * (1 - max(confidence[j] for j in masked)) < f}


@quick
@given(batches(max_width=8), bounds, rates, factors)
def test_the_choice_is_the_definitions(batch, gamma, rho, f):
    found = offsets(DiscountedEntropyBounded(gamma, rho, f).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        certain = sure(row.scores["confidence"], row.masked, f)
        assert taken == plain.discounted(row.scores["entropy"], certain or row.masked, gamma, plain.powers(rho))


@quick
@given(batches(max_width=8), bounds, rates)
def test_of_all_subsets_whose_every_beginning_is_within_the_bound_the_surest_is_taken(batch, gamma, rho):
    found = offsets(DiscountedEntropyBounded(gamma, rho, f=0).select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        entropy = row.scores["entropy"]
        order = sorted(row.masked, key=lambda k: (entropy[k], k))
        places = range(len(order))
        within = []
        for size in range(1, len(order) + 1):
            for chosen in combinations(places, size):
                subset = [order[place] for place in chosen]
                beginnings = (subset[: n + 1] for n in range(size))
                if all(
                    plain.discounted_cost(entropy, beginning, plain.powers(rho)) <= gamma for beginning in beginnings
                ):
                    within.append(chosen)
        surest = max(within, key=lambda chosen: [place in chosen for place in places])
        assert taken == {order[place] for place in surest}


@quick
@given(batches(max_width=20), bounds)
def test_without_a_discount_it_is_the_entropy_bound(batch, gamma):
    ours = DiscountedEntropyBounded(gamma, rho=1, f=0).select(batch.block, batch.prediction)
    assert torch.equal(ours, EntropyBounded(gamma).select(batch.block, batch.prediction))


@quick
@given(batches(max_width=20), st.data())
def test_where_only_neighbours_count_and_none_is_allowed_isolated_positions_are_taken(batch, data):
    """None of uncertain positions has a neighbour, and whoever was left out has one that is surer."""
    entropy = batch.prediction.entropy + 1 / 16
    scores = Prediction(entropy=entropy)
    found = offsets(DiscountedEntropyBounded(0, rho=0, f=0).select(batch.block, scores))
    for values, row, taken in zip(entropy.tolist(), batch.rows, found, strict=True):
        assert not any(k + 1 in taken for k in taken)
        for k in row.masked - taken:
            assert any((values[j], j) < (values[k], k) for j in (k - 1, k + 1) if j in taken)


@quick
@given(batches(max_width=8), bounds, bounds, rates, rates)
def test_where_two_settings_part_the_larger_bound_and_the_smaller_rate_go_on(batch, gamma, more, rho, other):
    """By rising entropy, at the first position that only one of the two takes."""

    def choices(bound, rate):
        return offsets(DiscountedEntropyBounded(bound, rate, f=0).select(batch.block, batch.prediction))

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
    assert offsets(DiscountedEntropyBounded(0.5, rho=0.5, f=0).select(block, Prediction(entropy=entropy))) == [{0, 5}]


@pytest.mark.parametrize("fields", [{"gamma": -1}, {"rho": 1.5}, {"rho": float("nan")}, {"f": -0.1}])
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError, match="deb: "):
        DiscountedEntropyBounded(**fields)


def written(path, record):
    path.write_text(json.dumps(record))
    return str(path)


@quick
@given(batches(max_width=8), bounds, st.lists(sixteenths(), min_size=1, max_size=9), factors)
def test_with_a_file_what_counts_is_the_largest_share_of_a_distance(tmp_path_factory, batch, gamma, shares, f):
    file = written(tmp_path_factory.mktemp("deb") / "shares.json", {"shares": shares, "about": {}})
    planner = DiscountedEntropyBounded(gamma, f=f, file=file)
    found = offsets(planner.select(batch.block, batch.prediction))
    for row, taken in zip(batch.rows, found, strict=True):
        certain = sure(row.scores["confidence"], row.masked, f)
        share = [1.0, *shares, *shares[-1:] * 8].__getitem__
        assert taken == plain.discounted(row.scores["entropy"], certain or row.masked, gamma, share)
    assert parse(str(planner)) == planner


@quick
@given(batches(max_width=8), bounds, rates)
def test_a_file_of_powers_is_the_rate(tmp_path_factory, batch, gamma, rho):
    file = written(tmp_path_factory.mktemp("deb") / "shares.json", {"shares": [rho**distance for distance in range(7)]})
    by_file = DiscountedEntropyBounded(gamma, file=file).select(batch.block, batch.prediction)
    assert torch.equal(by_file, DiscountedEntropyBounded(gamma, rho).select(batch.block, batch.prediction))


@quick
@given(batches(max_width=20), bounds, rates, st.integers(2, 8), sixteenths())
def test_spacing_and_deferral_keep_some_of_what_it_takes(batch, gamma, rho, gap, threshold):
    """Spaced: no two closer than the gap that is left, the surest kept. Deferred: all that is sure enough."""
    inner = DiscountedEntropyBounded(gamma, rho)
    taken = offsets(inner.select(batch.block, batch.prediction))
    spaced = offsets(Spaced(inner, gap).select(batch.block, batch.prediction))
    held = offsets(Deferred(inner, threshold).select(batch.block, batch.prediction))
    for row, whole, apart, sure in zip(batch.rows, taken, spaced, held, strict=True):
        entropy, confidence = row.scores["entropy"], row.scores["confidence"]
        least = max(2, len(row.masked) * gap // max(row.length, 1))
        assert apart <= whole
        assert all(abs(i - j) >= least for i, j in combinations(apart, 2))
        assert set(plain.best_first([-value for value in entropy], whole)[:1]) <= apart
        certain = {k for k in whole if confidence[k] >= threshold}
        assert sure == (certain or set(plain.best_first(confidence, whole)[:1]))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("nonsense", "is no file of shares: it needs a JSON object with shares"),
        ("[]", "is no file of shares"),
        ('{"levels": []}', "is no file of shares"),
        ('{"shares": []}', "has to hold a share for each distance from 1, a list of numbers"),
        ('{"shares": [true]}', "a list of numbers"),
        ('{"shares": [0.5, 1.5]}', "holds a share that is not between 0 and 1"),
        ('{"shares": [NaN]}', "holds a share that is not between 0 and 1"),
    ],
)
def test_a_file_that_holds_no_shares_is_refused(tmp_path, content, problem):
    path = tmp_path / "shares.json"
    path.write_text(content)
    with pytest.raises(PlannerError, match=problem):
        DiscountedEntropyBounded(file=str(path))


def test_a_file_is_named_as_read_and_stands_in_place_of_a_rate(tmp_path):
    file = written(tmp_path / "shares.json", {"shares": [1, 0.5]})
    planner = DiscountedEntropyBounded(file=file)
    assert planner.reads() == (tmp_path / "shares.json",)
    assert planner != DiscountedEntropyBounded(file=written(tmp_path / "other.json", {"shares": [1, 0.5]}))
    with pytest.raises(PlannerError, match=r"has a share for each distance, so rho=0\.5 has no effect"):
        DiscountedEntropyBounded(rho=0.5, file=file)
    with pytest.raises(PlannerError, match="is no file; dus calibrate --planner deb writes one"):
        DiscountedEntropyBounded(file=str(tmp_path / "none.json"))
