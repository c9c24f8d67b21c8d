"""Intervals, paired tests and AUP, against other implementations of them and against pencil and paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from dus.evaluation.report.aup import aup, aups
from dus.evaluation.report.results import paired, sections
from dus.evaluation.report.tables import comparison, contests, everything, shortcuts

from .tiny import only, outcome


@pytest.mark.parametrize(("scores", "low", "high"), [([1] * 20, 0.8389, 1), ([0] * 20, 0, 0.1611)])
def test_all_right_and_all_wrong_have_wilsons_interval(scores, low, high):
    (result,) = only([outcome("dus", scores)]).results
    score = result.measures["score"]
    assert (score.value, score.low, score.high) == (
        scores[0],
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_intervals_are_those_of_scipys_bootstrap():
    rng = np.random.default_rng(1)
    scores, calls, tokens = rng.random(80) < 0.6, rng.integers(3, 20, 80), rng.integers(5, 40, 80)
    (result,) = only([outcome("dus", scores.astype(int).tolist(), counts={"nfe": calls, "useful": tokens})]).results

    def ratio(above, below, axis=-1):
        return above.sum(axis=axis) / below.sum(axis=axis)

    settings = {"n_resamples": 4000, "method": "percentile", "rng": 2}
    speed = bootstrap((tokens, calls), ratio, paired=True, **settings).confidence_interval
    width = speed.high - speed.low
    assert result.measures["tpf"].low == pytest.approx(speed.low, abs=0.08 * width)
    assert result.measures["tpf"].high == pytest.approx(speed.high, abs=0.08 * width)


@pytest.mark.parametrize(("rate", "spread"), [(0.7, 0.0), (0.97, 0.0), (0.03, 0.0), (0.9, 0.3), (0.9, 1.0)])
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(rate, spread, seeds):
    """Of 120 sweeps with 60 problems each, 95% intervals should miss the truth about 6 times.

    Problems are solved by a rate of their own, all alike where `spread` is 0, each always or never where it is 1.
    """
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(120):
        own = np.where(rng.random(60) < spread, rng.random(60) < rate, rate)
        runs = [outcome("random", (rng.random(60) < own).astype(int).tolist(), seed=seed) for seed in range(seeds)]
        (result,) = only(runs).results
        score = result.measures["score"]
        missed += not score.low <= rate <= score.high
    assert missed <= 14


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.lists(st.booleans(), min_size=40), st.integers(2, 4))
def test_seeds_that_agree_everywhere_say_what_one_of_them_says(ours, theirs, seeds):
    theirs = theirs[: len(ours)]

    def measured(runs):
        both = (("random", ours), ("dus(order=random)", theirs))
        section = only([outcome(name, scores, seed=seed) for name, scores in both for seed in range(runs)])
        return section.find("random", "none", 16), section.find("dus(order=random)", "none", 16)

    one, several = measured(1), measured(seeds)
    for alone, together in zip(one, several, strict=True):
        found, expected = together.measures["score"], alone.measures["score"]
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
        assert found.low < found.high
    found, expected = paired(*several).difference, paired(*one).difference
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert found.low < found.high


def test_seeds_that_do_not_depend_on_each_other_say_as_much_as_as_many_problems():
    rng = np.random.default_rng(5)
    runs = (rng.random((4, 300)) < 0.8).astype(int)
    (together,) = only([outcome("random", scores.tolist(), seed=seed) for seed, scores in enumerate(runs)]).results
    (whole,) = only([outcome("random", runs.flatten().tolist())]).results
    found, expected = together.measures["score"], whole.measures["score"]
    assert found.value == expected.value
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.15)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(pairs):
    ours, theirs = zip(*pairs, strict=True)
    section = only([outcome("dus", ours), outcome("eb(gamma=1)", theirs)])
    found = paired(section.find("dus", "none", 16), section.find("eb(gamma=1)", "none", 16))
    wins, losses = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    assert (found.only_ours, found.only_theirs) == (wins, losses)
    assert found.p == pytest.approx(binomtest(wins, wins + losses).pvalue if wins + losses else 1.0)
    assert found.difference.value == pytest.approx((wins - losses) / len(pairs))


def test_sections_that_differ_only_in_their_size_say_so():
    outcomes = [outcome("dus", [1, 0]), outcome("dus", [1, 0, 1], digest="other"), outcome("dus", [1, 1], eos="ignore")]
    assert sorted(section.title for section in sections(outcomes)) == [
        "letters, end tokens ignored",
        "letters, end tokens respected, 2 problems",
        "letters, end tokens respected, 3 problems",
    ]


def test_dus_meets_self_confidence_with_its_own_counts():
    wide = [outcome(p, s, block_length=b) for b in (8, 16) for p, s in RIVALS]
    section = only(wide)
    lines = comparison(section, contests(section)).splitlines()[2:]
    assert len(lines) == 4
    plain, based = (line for line in lines if "| 8 |" in line)
    assert "`dus` | `none` | `confidence(like=dus)` | `none`" in plain
    assert plain.endswith("| 2 | 1 | 1 |")
    assert "`dus(base=4) \\| deferred(threshold=0.3)` | `none` | `confidence(like=dus(base=4))`" in based
    assert based.endswith("| 0 | 3 | 0.25 |")


def test_each_cache_meets_the_same_planner_without_one():
    section = only(
        [
            outcome("dus", [1, 1, 0, 1]),
            outcome("dus", [1, 0, 0, 0], cache="dual"),
            outcome("confidence(like=dus)", [1, 1, 1, 1], cache="dual"),
        ]
    )
    [line] = comparison(section, shortcuts(section)).splitlines()[2:]
    assert line.startswith("| `dus` | `dual` | `dus` | `none` | 16 |")
    assert line.endswith("| 0 | 2 | 0.5 |")
    shown = everything(section)
    assert shown.count(" ms |") == 3
    assert " ms" not in everything(only([outcome("dus", [1, 1, 0, 1])]))


RIVALS = [
    ("dus", [1, 1, 0, 1]),
    ("confidence(like=dus)", [0, 0, 1, 1]),
    ("dus(base=4) | deferred(threshold=0.3)", [0, 0, 0, 1]),
    ("confidence(like=dus(base=4))", [1, 1, 1, 1]),
    ("dus(order=entropy)", [1, 1, 1, 1]),
]


def test_where_scores_are_shares_there_is_a_difference_and_no_test():
    section = only([outcome("dus", [0.5, 1, 0.25, 0]), outcome("confidence(like=dus)", [0.5, 0, 0, 0])])
    found = paired(*section.results[::-1])
    assert found.difference.value == pytest.approx(1.25 / 4)
    assert (found.p, found.only_ours) == (None, None)


# Worked out with pencil and paper: y_max = 80, W(40) = exp(-3 / 2) = 0.22313.
@pytest.mark.parametrize(
    ("points", "best", "area"),
    [
        ([(2, 80)], 80, 160),
        ([(2, 80), (4, 80)], 80, 160 + 2 * 80),
        ([(4, 80), (2, 80)], 80, 160 + 2 * 80),
        ([(1, 40), (3, 40)], 80, 40 + 2 * 40 * 0.2231302),
        ([(1, 80), (3, 76)], 80, 80 + 2 * (76 * 0.8607080 + 80) / 2),
        ([(1, 80), (2, 74), (3, 78)], 80, 80 + 2 * (78 * 0.9277435 + 80) / 2),
        ([(1, 40), (2, 80)], 80, 40 + (80 + 40 * 0.2231302) / 2),
        ([(1, 80), (2, 70)], 80, 80),
        ([(3, 0)], 0, 0),
    ],
)
def test_aup_by_hand(points, best, area):
    assert aup(points, best) == pytest.approx(area, abs=1e-4)


def test_aups_measure_all_planners_by_the_best_of_them():
    fast = {"nfe": [2, 2, 2, 2], "useful": [8, 8, 8, 8]}
    found = aups(
        only(
            [
                outcome("dus", [1, 1, 0, 0]),
                outcome("dus", [1, 1, 0, 0], block_length=32, counts=fast),
                outcome("eb(gamma=1)", [1, 1, 1, 1]),
            ]
        )
    )
    assert found["eb(gamma=1)", "none"].value == pytest.approx(2 * 100)
    assert (
        found["dus", "none"].value
        == pytest.approx(aup([(2, 50), (4, 50)], 100))
        == pytest.approx(100 + 100 * 0.2231302, abs=1e-4)
    )
    assert found["eb(gamma=1)", "none"].low == found["eb(gamma=1)", "none"].high == pytest.approx(200)
    assert found["dus", "none"].low < found["dus", "none"].value < found["dus", "none"].high


def test_nats_are_means_without_percent():
    section = only(
        [outcome("dus", [2.5, 3.5, 3.0, 3.0], unit="nats"), outcome("confidence(like=dus)", [3.0] * 4, unit="nats")]
    )
    # Of the 256 ways to draw four, 1 has the mean 2.5 and 8 have 2.625: the 2.5th percentile lies among these.
    assert "3.000 (2.625–3.375), 4.0 calls" in everything(section)
    compared = comparison(section, contests(section))
    assert "nats more" in compared
    assert "%" not in everything(section) + compared
