"""DUS coarse to fine: the levels of the formula, for every block length and base."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import DUS, BlockState, Deferred, Prediction

from .blocks import beginnings, offsets, quick
from .loop import World, decode
from .plain import ceil_log, levels

lengths = st.integers(1, 1024)
bases = st.integers(2, 12) | st.integers(13, 1100) | st.just(10**18)
NOTHING = Prediction()


def whole(length):
    """One row, all of it masked."""
    return BlockState.begin(torch.ones(1, length, dtype=torch.bool))


def steps_of(planner, block):
    """For each row the sets that the planner unmasks at steps 0, 1, … of the batch's width."""
    history = [[] for _ in block.step]
    for _ in range(planner.num_steps(block.masked.shape[1])):
        selected = planner.select(block, NOTHING)
        for row, chosen in enumerate(offsets(selected)):
            history[row].append(chosen)
        block = block.after(selected, selected & False)
    assert not block.masked.any()
    return history


@quick
@given(lengths, bases)
def test_each_step_unmasks_the_formulas_level_and_each_position_once(length, base):
    assert steps_of(DUS(base=base), whole(length)) == [levels(length, base)]


@pytest.mark.parametrize(("base", "longest"), [(2, 1024), *[(base, 150) for base in range(3, 10)]])
def test_every_row_of_a_batch_follows_its_own_length(base, longest):
    block = BlockState.begin(torch.ones(longest, longest, dtype=torch.bool), length=torch.arange(1, longest + 1))
    for length, steps in enumerate(steps_of(DUS(base=base), block), start=1):
        expected = levels(length, base)
        assert steps == expected + [set()] * (len(steps) - len(expected))


@quick
@given(lengths, bases)
def test_the_number_of_steps_is_that_of_the_levels_and_at_most_the_logarithm(length, base):
    steps = DUS(base=base).num_steps(length)
    assert steps == len(levels(length, base))
    assert steps <= max(1, ceil_log(length, base))


@quick
@given(lengths, bases)
def test_positions_of_a_level_are_at_least_its_stride_apart(length, base):
    [found] = steps_of(DUS(base=base), whole(length))
    for number, level in enumerate(found, start=1):
        assert all(right - left >= length // base**number for left, right in pairwise(sorted(level)))


@pytest.mark.parametrize("length", [4, 8, 16, 32, 64, 128, 256, 512, 1024])
def test_in_blocks_of_a_power_of_two_no_two_neighbours_are_unmasked_together(length):
    [found] = steps_of(DUS(), whole(length))
    assert all(k + 1 not in level for level in found for k in level)


@pytest.mark.parametrize(
    ("length", "base", "sizes"),
    [
        (16, 2, [2, 2, 4, 8]),
        (24, 2, [2, 2, 4, 16]),
        (32, 4, [4, 12, 16]),
        (27, 3, [3, 6, 18]),
        (1, 2, [1]),
        (2, 2, [2]),
    ],
)
def test_known_blocks_have_the_known_level_sizes(length, base, sizes):
    [found] = steps_of(DUS(base=base), whole(length))
    assert [len(level) for level in found] == sizes


@pytest.mark.parametrize(("length", "speed_up"), [(8, 2.67), (16, 4), (32, 6.4), (64, 10.67)])
def test_the_speed_up_over_one_token_a_step_is_the_papers(length, speed_up):
    assert round(length / DUS().num_steps(length), 2) == speed_up


@quick
@given(beginnings(max_width=64), bases, st.integers(0, 9))
def test_given_positions_are_left_alone_and_cost_no_call(block, base, seed):
    calls = decode(DUS(base=base), block, World(seed, block.row, block.masked.shape[1]))
    for row, masked in enumerate(offsets(block.masked)):
        expected = [level & masked for level in levels(int(block.length[row]), base)]
        assert [call.unmasked for call in calls[row]] == [level for level in expected if level]


@quick
@given(lengths, bases, st.data())
def test_a_position_held_back_is_wanted_again_at_every_later_stride_that_divides_it(length, base, data):
    held = data.draw(st.integers(0, length - 1))
    block = BlockState.begin(torch.arange(length)[None] == held)
    steps = DUS(base=base).num_steps(length)
    for step in range(steps):
        stride = length // base ** (step + 1)
        due = step == steps - 1 or held % stride == 0
        now = block.at(torch.tensor([step]))
        assert offsets(DUS(base=base).wanted(now)) == [{held} if due else set()]


@quick
@given(st.integers(2, 5), st.data())
def test_in_blocks_of_a_power_of_the_base_a_position_held_back_is_wanted_at_every_later_step(base, data):
    length = base ** data.draw(st.integers(1, {2: 10, 3: 6, 4: 5, 5: 4}[base]))
    planner = DUS(base=base)
    block = BlockState.begin(torch.arange(length)[None] == data.draw(st.integers(0, length - 1)))
    due = [bool(planner.wanted(block.at(torch.tensor([step]))).any()) for step in range(planner.num_steps(length))]
    assert all(due[due.index(True) :])


def test_in_a_block_of_twenty_an_uncertain_position_waits_for_the_next_stride_that_divides_it():
    """Strides 10, 5, 2, 1: 5 is divided by none of those between its own and the last, 10 by each."""
    uncertain = {5, 10}
    confidence = torch.tensor([[0.1 if k in uncertain else 0.9 for k in range(20)]])
    planner = Deferred(DUS(), threshold=0.3)
    block = whole(20)
    wanted, taken = [], []
    for _ in range(planner.num_steps(20)):
        wanted += [wanted_now & uncertain for wanted_now in offsets(planner.wanted(block))]
        selected = planner.select(block, Prediction(confidence=confidence))
        taken += [chosen & uncertain for chosen in offsets(selected)]
        block = block.after(selected, selected & False)
    assert wanted == [{10}, {5, 10}, {10}, {5, 10}]
    assert taken == [set(), set(), set(), {5, 10}]
    assert not block.masked.any()
