import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial

from dus.evaluation.intervals import Interval, paired_shares, ratios, wilson


def test_the_bootstrap_covers_the_true_ratio_as_often_as_it_says():
    """400 samples of 60 rows whose two sums depend on each other; the true ratio is 2."""
    rng = np.random.default_rng(1)
    hits = 0
    for sample in range(400):
        below = rng.integers(1, 10, size=60)
        above = 2 * below + rng.normal(size=60) * below
        interval = ratios(above[:, None], below[:, None], draws=300, seed=sample)[0]
        hits += interval.low <= 2 <= interval.high
    assert 0.90 <= hits / 400 <= 0.98


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios():
    value = ratios(np.array([[1.0], [30.0]]), np.array([[1.0], [10.0]]))[0].value
    assert value == 31 / 11


def test_each_measure_has_its_own_interval():
    above = np.stack([np.full(50, 3.0), np.arange(50), np.zeros(50)], axis=1)
    below = np.stack([np.ones(50), np.ones(50), np.zeros(50)], axis=1)
    constant, spread, nothing = ratios(above, below)
    assert (constant.low, constant.value, constant.high) == (3, 3, 3)
    assert spread.low < 24.5 < spread.high
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)
    assert ratios(above, below) != ratios(above, below, seed=1)
    assert ratios(above, below)[1] == spread


def test_many_rows_are_drawn_in_parts():
    above = np.random.default_rng(0).normal(3, 1, size=(5000, 1))
    interval = ratios(above, np.ones((5000, 1)))[0]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / math.sqrt(5000), rel=0.1)


def test_one_row_has_no_bounds():
    found = ratios(np.array([[3.0]]), np.array([[2.0]]))[0]
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert found.text(1) == "1.5"


def test_texts():
    assert Interval(6.22, 6.2, 6.25).text(2) == "6.22 (6.20 to 6.25)"
    assert Interval(0.5, 0.451, 0.55).text(0, percent=True) == "50% (45% to 55%)"
    assert Interval(math.nan, math.nan, math.nan).text() == "–"


@pytest.mark.parametrize(("cases", "total"), [(0, 10), (10, 10), (3, 10), (95, 100)])
def test_wilson_solves_its_equation(cases, total):
    """Both bounds p satisfy |share - p| = z sqrt(p (1 - p) / n), or are 0 and 1."""
    found = wilson(cases, total)
    for bound in (found.low, found.high):
        margin = 1.96 * math.sqrt(bound * (1 - bound) / total)
        assert abs(found.value - bound) == pytest.approx(margin, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert math.isnan(wilson(0, 0).value)


@given(st.lists(st.integers(0, 30), min_size=4, max_size=4).filter(any))
def test_the_difference_of_paired_shares_turns_with_its_sides_and_has_a_width(counts):
    both, first, second, _ = counts
    found, turned = (paired_shares(both, *sides, sum(counts)) for sides in ((first, second), (second, first)))
    assert found.value == pytest.approx((first - second) / sum(counts))
    assert -1.0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1.0
    assert found.low < found.high
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize(
    ("shares", "most"),
    [
        ((0.6, 0.1, 0.1, 0.2), 0.98),
        ((0.3, 0.02, 0.02, 0.66), 1.0),  # few cases tell, so that no interval comes near to what it says
        ((0.8, 0.1, 0.0, 0.1), 0.99),
        ((0.1, 0.3, 0.1, 0.5), 0.98),
    ],
)
def test_the_difference_of_paired_shares_is_covered_as_often_as_it_says(shares, most):
    """By every table of 30 cases that is not too unlikely, with its probability."""
    total, covered, seen = 30, 0.0, 0.0
    for both in range(total + 1):
        for first, second in product(range(total - both + 1), repeat=2):
            table = (both, first, second, total - both - first - second)
            chance = multinomial.pmf(table, total, shares) if table[3] >= 0 else 0.0
            if chance < 1e-6:
                continue
            found = paired_shares(*table[:3], total)
            seen += chance
            covered += chance * (found.low <= shares[1] - shares[2] <= found.high)
    assert seen > 0.98
    assert 0.93 < covered / seen <= most
