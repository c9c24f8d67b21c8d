"""Counter-based randomness: a pure function, uniform, inside (0, 1)."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners.counter import uniform

from .blocks import quick

WORD = 2**64
GAMMA, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
int64 = st.integers(-(2**63), 2**63 - 1)


def signed(word):
    return word - WORD if word >= WORD // 2 else word


def mix(word):
    """SplitMix64's finalizer on Python's integers."""
    word = (word ^ word >> 30) * FIRST % WORD
    word = (word ^ word >> 27) * SECOND % WORD
    return word ^ word >> 31


def unmix(word):
    """Its inverse."""

    def unshift(word, bits):
        return word ^ word >> bits ^ word >> 2 * bits

    word = unshift(word, 31) * pow(SECOND, -1, WORD) % WORD
    word = unshift(word, 27) * pow(FIRST, -1, WORD) % WORD
    return unshift(word, 30)


def counter_for(seed, last):
    """The counter with which the last mixing of `uniform(seed, counter)` gives `last`."""
    return torch.tensor([signed(mix((seed + GAMMA) % WORD) ^ (unmix(last) - GAMMA) % WORD)])


def is_plausible(counts):
    """Chi-square of equally likely cells within six standard deviations of its mean."""
    expected = counts.sum() / counts.numel()
    freedom = counts.numel() - 1
    return abs(((counts - expected) ** 2 / expected).sum() - freedom) < 6 * math.sqrt(2 * freedom)


def test_the_mixing_is_splitmix64():
    """The published generator's first two outputs from the seed 1234567."""
    first, second = 6457827717110365317, 3203168211198807973
    assert [mix(1234567 + GAMMA), mix((1234567 + 2 * GAMMA) % WORD)] == [first, second]
    assert uniform(1234567, torch.tensor([first ^ 1234567])).item() == ((first >> 41) + 0.5) / 2**23


@quick
@given(int64, int64, int64)
def test_draws_equal_those_of_plain_integers(seed, row, position):
    state = mix((mix((seed + GAMMA) % WORD) ^ row % WORD) + GAMMA & WORD - 1) ^ position % WORD
    expected = ((mix((state + GAMMA) % WORD) >> 41) + 0.5) / 2**23
    assert uniform(seed, torch.tensor([row]), torch.tensor([position])).item() == expected


@quick
@given(int64)
def test_the_least_and_the_largest_draw_lie_inside_the_interval(seed):
    assert uniform(seed, counter_for(seed, 0)).item() == 2**-24
    assert uniform(seed, counter_for(seed, WORD - 1)).item() == 1 - 2**-24


@quick
@given(st.integers())
def test_any_whole_number_is_a_seed(seed):
    assert 0 < uniform(seed, torch.tensor([3])).item() < 1


def test_numpys_whole_numbers_are_seeds_too():
    for seed in (3, -3, 2**63 - 1):
        assert uniform(np.int64(seed), torch.tensor([3])) == uniform(seed, torch.tensor([3]))


@quick
@given(st.integers(), st.lists(int64, min_size=1, max_size=4), st.lists(int64, min_size=1, max_size=4))
def test_a_draw_does_not_depend_on_what_is_drawn_beside_it(seed, rows, positions):
    together = uniform(seed, torch.tensor(rows)[:, None], torch.tensor(positions))
    for i, row in enumerate(rows):
        for j, position in enumerate(positions):
            assert together[i, j] == uniform(seed, torch.tensor(row), torch.tensor(position))


def test_draws_are_uniform_along_each_counter_and_the_seed():
    line, zero = torch.arange(2**16), torch.tensor(0)
    for draws in (
        uniform(0, line),
        uniform(0, line, zero, zero),
        uniform(0, zero, line, zero),
        uniform(0, zero, zero, line),
        torch.cat([uniform(seed, line[:64]) for seed in range(1024)]),
    ):
        assert is_plausible(torch.histc(draws, bins=64, min=0, max=1))


def test_neighbouring_counters_are_independent():
    draws = uniform(7, torch.arange(256)[:, None], torch.arange(256))
    for pairs in (torch.stack([draws[:, 1:], draws[:, :-1]]), torch.stack([draws[1:], draws[:-1]])):
        cell = (pairs * 16).long()
        assert is_plausible(torch.bincount((cell[0] * 16 + cell[1]).flatten(), minlength=256).float())
    assert draws.unique().numel() > 0.99 * draws.numel()


def test_counters_are_told_apart_by_their_place():
    some = torch.arange(1, 1000)
    assert (uniform(0, some, some + 1) != uniform(0, some + 1, some)).all()
    assert (uniform(0, some) != uniform(0, some, some * 0)).all()
