"""Fits to dependence over distance: they find what made the curve, and say when it was something else."""

import numpy as np
import pytest

from dus.lab.theory import TheoryError, fits

SPACINGS = [1, 2, 4, 8, 16]


def measured(curve, seed, texts=64):
    """Values of texts around a curve, half of their noise common to all spacings."""
    rng = np.random.default_rng(seed)
    return curve * (rng.gamma(1, 1, (texts, 1)) + rng.gamma(1, 1, (texts, len(curve)))) / 2


def test_an_exponential_is_found_and_its_interval_holds_its_rate():
    curve = 0.5 * 0.8 ** np.array(SPACINGS)
    found = [fits(SPACINGS, measured(curve, seed), seed)[0] for seed in range(20)]
    assert np.mean([fit.low <= 0.8 <= fit.high for fit in found]) >= 0.8
    assert np.mean([fit.holds for fit in found]) >= 0.8
    assert np.mean([fit.constant for fit in found]) == pytest.approx(0.5, rel=0.2)


def test_a_power_law_is_no_exponential_and_the_other_way_round():
    places = np.array(SPACINGS)
    for seed in range(10):
        exponential, power = fits(SPACINGS, measured(0.5 / places, seed), seed)
        assert not exponential.holds
        assert power.shape == pytest.approx(1, abs=0.3)
        exponential, power = fits(SPACINGS, measured(0.5 * 0.6**places, seed), seed)
        assert not power.holds
        assert exponential.shape == pytest.approx(0.6, abs=0.1)


def test_without_noise_the_curve_is_met():
    places = np.array(SPACINGS)
    curve = 0.3 * 0.7**places
    exponential, _ = fits(SPACINGS, curve * np.linspace(0.5, 1.5, 41)[:, None])
    assert exponential.shape == pytest.approx(0.7, rel=0.01)
    assert exponential.at(places.astype(float)) == pytest.approx(curve, rel=0.05)
    assert exponential.holds


def test_what_cannot_be_fitted():
    with pytest.raises(TheoryError, match="at least three different spacings, not to 2"):
        fits([1, 2, 2], np.ones((4, 3)))
    with pytest.raises(TheoryError, match="no dependence beyond noise"):
        fits([1, 2, 3], np.zeros((9, 3)))
