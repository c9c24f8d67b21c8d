"""Levels from a file or from a text: what they unmask, in blocks of any length, and what cannot be meant."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import DUS, BlockState, Deferred, Levels, PlannerError, Prediction, parse
from dus.planners.levels import LARGEST_FILE

from .blocks import beginnings, offsets, quick
from .kinds import listed
from .loop import World, decode
from .plain import levels as formula


def written(path, levels):
    path.write_text(json.dumps({"block_length": sum(map(len, levels)), "levels": levels}), encoding="utf-8")


def text_of(groups):
    return "/".join(" ".join(map(str, sorted(group))) for group in groups)


@quick
@given(listed(), beginnings(max_width=24), st.integers(0, 9))
def test_each_step_takes_its_level_without_what_lies_beyond_the_end(planner, block, seed):
    calls = decode(planner, block, World(seed, block.row, block.masked.shape[1]))
    for row, masked in enumerate(offsets(block.masked)):
        expected = [set(level) & masked for level in planner.levels]
        assert [call.unmasked for call in calls[row]] == [level for level in expected if level]


@quick
@given(beginnings(max_width=32), st.integers(0, 9))
def test_the_levels_of_dus_written_down_are_dus_in_blocks_of_their_length(block, seed):
    width = block.masked.shape[1]
    whole = BlockState.begin(block.masked)  # every row as long as the block
    written, world = Levels(groups=text_of(formula(width, 2))), World(seed, whole.row, width)
    ours, theirs = decode(written, whole, world), decode(DUS(), whole, world)
    assert [[call.unmasked for call in row] for row in ours] == [[call.unmasked for call in row] for row in theirs]


def test_a_position_held_back_is_wanted_at_the_next_step():
    planner = Deferred(Levels(groups="0 1/2/3"), threshold=0.5)
    sure = Prediction(confidence=torch.tensor([[0.9, 0.1, 0.9, 0.9]]))
    block = BlockState.begin(torch.ones(1, 4, dtype=torch.bool))
    taken = planner.select(block, sure)
    assert offsets(taken) == [{0}]
    assert offsets(planner.wanted(block.after(taken, taken & False))) == [{1, 2}]


def test_a_longer_block_is_refused_and_a_shorter_one_counts_its_own_levels():
    planner = Levels(groups="0 4/2/1 3")
    assert [planner.num_steps(length) for length in (1, 2, 3, 5)] == [1, 2, 3, 3]
    with pytest.raises(PlannerError, match="for blocks of 5 positions, not of 6: decode with block_length=5"):
        planner.num_steps(6)
    for length in (4, 6):
        with pytest.raises(PlannerError, match=f"not of {length}: decode with block_length=5"):
            Deferred(planner).check(length)
    Deferred(planner).check(5)
    with pytest.raises(PlannerError, match="not of 6"):
        planner.wanted(BlockState.begin(torch.ones(1, 6, dtype=torch.bool)))


@quick
@given(listed())
def test_a_file_is_read_and_its_levels_stand_in_for_it(tmp_path_factory, planner):
    path = tmp_path_factory.mktemp("levels") / "it's.json"
    written(path, planner.levels)
    read = Levels(file=str(path))
    assert read.levels == planner.levels
    assert parse(str(read)) == read
    assert read.reads() == (path,)
    assert read.self_contained() == planner.self_contained()
    assert (read.self_contained().levels, read.self_contained().reads()) == (planner.levels, ())


def test_the_planner_keeps_what_it_read(tmp_path):
    path = tmp_path / "levels.json"
    written(path, [[0], [1]])
    before = Levels(file=str(path))
    written(path, [[1], [0]])
    assert before.levels == ((0,), (1,))
    assert before != Levels(file=str(path))


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ("", "is no JSON"),
        ("[" * 10**5, "is no JSON"),
        ("[[0]]", "needs an object with block_length and levels"),
        ('{"levels": [[0]]}', "needs an object with block_length and levels"),
        ('{"block_length": 2, "levels": [[0]]}', "says a block of 2, but its levels hold 1"),
        ('{"block_length": 1, "levels": [0]}', "list of levels, each a list"),
        ('{"block_length": 1, "levels": [[0], []]}', "each a list of at least one offset"),
        ('{"block_length": 1, "levels": [[0.5]]}', "no whole number"),
        ('{"block_length": 2, "levels": [[false], [true]]}', "no whole number"),
        ('{"block_length": 2, "levels": [[0], [0]]}', "holds the offset 0 twice"),
        ('{"block_length": 2, "levels": [[0], [2]]}', "lacks the offset 1: a block of 2 has the offsets 0 to 1"),
        (" " * (LARGEST_FILE + 1), "too large"),
    ],
)
def test_a_file_that_cannot_be_meant_gets_an_error_that_says_why(tmp_path, record, part):
    path = tmp_path / "levels.json"
    path.write_text(record)
    with pytest.raises(PlannerError) as caught:
        Levels(file=str(path))
    assert part in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("levels", "takes file=…, a file that dus calibrate wrote, or groups="),
        ("levels(file=a, groups='0')", "takes file="),
        ("levels(file=nothing)", "nothing is no file"),
        ("levels(file='/')", "/ is no file"),
        ("levels(groups='0 x')", "whole numbers, as in '0 2/1 3'"),
        ("levels(groups='0/')", "at least one offset"),
        ("levels(groups='1')", "lacks the offset 0"),
        ("levels(groups='0 1 1')", "holds the offset 1 twice"),
        ("levels(levels=1)", "has no field 'levels'"),
    ],
)
def test_a_text_that_cannot_be_meant_gets_an_error_that_says_why(written, part):
    with pytest.raises(PlannerError) as caught:
        parse(written)
    assert part in str(caught.value)
