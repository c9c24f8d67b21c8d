import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dus.evaluation.spacing import padded, spacing
from dus.lab.analysis import AnalysisError, isolated_share, pairwise_distance

from .conftest import dus_steps

STEPS = arrays(np.int64, st.tuples(st.integers(0, 4), st.integers(0, 23)), elements=st.integers(-1, 5))


def groups(row, block_length):
    """The positions of each block and step, looked up one by one."""
    found = {}
    for position, step in enumerate(row):
        if step >= 0:
            found.setdefault((position // block_length, step), []).append(position)
    return list(found.values())


@given(STEPS, st.integers(1, 30))
def test_counts_equal_those_of_all_pairs(steps, block_length):
    found = spacing(steps, block_length)
    for number, row in enumerate(steps.tolist()):
        together = groups(row, block_length)
        pairs = [abs(i - j) for group in together for i, j in combinations(group, 2)]
        alone = [i for group in together for i in group if i - 1 not in group and i + 1 not in group]
        assert (found.distance[number], found.pairs[number]) == (sum(pairs), len(pairs))
        assert (found.isolated[number], found.unmasked[number]) == (len(alone), sum(map(len, together)))
        assert found.steps[number] == max(row, default=-1) + 1


@given(STEPS, st.integers(1, 30))
def test_row_values_are_ratios_of_the_counts(steps, block_length):
    found = spacing(steps, block_length)
    distance, share = pairwise_distance(steps, block_length), isolated_share(steps, block_length)
    for row in range(len(steps)):
        assert math.isnan(distance[row]) == (found.pairs[row] == 0)
        assert math.isnan(share[row]) == (found.unmasked[row] == 0)
        if found.pairs[row]:
            assert distance[row] == found.distance[row] / found.pairs[row]
            assert 1 <= distance[row] < max(block_length, 2)
        if found.unmasked[row]:
            assert share[row] == found.isolated[row] / found.unmasked[row]


@given(STEPS, st.integers(1, 12))
def test_a_block_begins_where_the_last_one_ended(steps, block_length):
    whole = spacing(steps, block_length)
    parts = [spacing(steps[:, at : at + block_length], block_length) for at in range(0, steps.shape[1], block_length)]
    for name in ("distance", "pairs", "isolated", "unmasked"):
        assert (getattr(whole, name) == sum(getattr(part, name) for part in parts)).all()


@pytest.mark.parametrize(("block_length", "value"), [(8, 3.5), (16, 6.2), (32, 11.6), (64, 22.3)])
def test_dus_has_the_distances_of_the_paper(block_length, value):
    steps = dus_steps(block_length, blocks=3)
    assert pairwise_distance(steps, block_length)[0] == pytest.approx(value, abs=0.05)
    assert isolated_share(steps, block_length)[0] == 1


def test_token_by_token_is_isolated_and_left_to_right_is_not():
    assert isolated_share(np.random.default_rng(0).permutation(16), 16)[0] == 1
    assert math.isnan(pairwise_distance(np.arange(16), 16)[0])
    four_a_step = np.arange(16) // 4
    assert isolated_share(four_a_step, 16)[0] == 0
    assert pairwise_distance(four_a_step, 16)[0] == (3 * 1 + 2 * 2 + 1 * 3) / 6
    assert isolated_share(four_a_step, 2)[0] == 0


def test_rows_of_different_lengths():
    rows = padded([[0, 1], [], [2, 1, 0]])
    assert rows.tolist() == [[0, 1, -1], [-1, -1, -1], [2, 1, 0]]
    assert spacing(rows, 3).unmasked.tolist() == [2, 0, 3]
    assert padded([]).shape == (0, 0)
    scores = padded([[0.5], [0.25, 0.5]], blank=np.nan)
    assert np.isnan(scores[0, 1])
    assert scores.dtype == float


def test_what_is_no_array_of_steps_is_refused():
    with pytest.raises(AnalysisError, match="at least 1"):
        spacing([0], 0)
    with pytest.raises(AnalysisError, match="whole numbers in an array"):
        spacing([[0.5]], 4)
    with pytest.raises(AnalysisError, match="whole numbers in an array"):
        spacing(np.zeros((1, 1, 1), dtype=int), 4)
