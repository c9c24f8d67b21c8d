"""DUS in its other orders, and with groups of equal size."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import DUS, BlockState, PlannerError

from .blocks import batches, beginnings, offsets, quick
from .kinds import seeds
from .loop import World, decode
from .plain import levels, residues

groupings = st.tuples(st.integers(2, 5), st.none() | st.integers(1, 12))
"""A base, and a stride of residue classes where these are meant."""


def groups_of(length, base, stride):
    return levels(length, base) if stride is None else residues(length, stride)


def planner_of(base, stride, **fields):
    return DUS(base=base, groups="levels" if stride is None else "residues", stride=stride, **fields)


def whole(length, rows=1, start=0):
    return BlockState.begin(torch.ones(rows, length, dtype=torch.bool), start=torch.full((rows,), start))


def unmasked(planner, block):
    """For each row the sets that its calls unmask."""
    calls = decode(planner, block, World(0, block.row, block.masked.shape[1]))
    return [[call.unmasked for call in row] for row in calls]


def masked_groups(block, grouping):
    """For each row its groups, as far as they are masked."""
    groups = [groups_of(length, *grouping) for length in block.length.tolist()]
    return [
        [group & masked for group in row if group & masked]
        for row, masked in zip(groups, offsets(block.masked), strict=True)
    ]


@quick
@given(beginnings(max_width=40), groupings)
def test_fine_to_coarse_is_the_reverse(block, grouping):
    found = unmasked(planner_of(*grouping, order="fine-to-coarse"), block)
    assert found == [groups[::-1] for groups in masked_groups(block, grouping)]


@quick
@given(beginnings(max_width=40), st.integers(1, 12))
def test_coarse_to_fine_residues_come_in_their_order(block, stride):
    assert unmasked(planner_of(2, stride), block) == masked_groups(block, (2, stride))


@quick
@given(beginnings(max_width=40), groupings, seeds)
def test_random_order_is_a_permutation_of_the_same_groups(block, grouping, seed):
    found = unmasked(planner_of(*grouping, order="random", seed=seed), block)
    for row, groups in zip(found, masked_groups(block, grouping), strict=True):
        assert sorted(map(sorted, row)) == sorted(map(sorted, groups))


def test_random_orders_differ_between_rows_blocks_and_seeds_and_all_of_them_occur():
    """Three levels of a block of eight, drawn 6,000 times: each of six orders about a sixth of the time."""
    planner = DUS(order="random", seed=1)
    orders = planner.turn(whole(8, rows=6000))[:, [0, 2, 1]]
    counts = Counter(map(tuple, orders.tolist()))
    assert len(counts) == 6
    assert all(abs(count - 1000) < 150 for count in counts.values())
    assert (planner.turn(whole(8, rows=99, start=8)) != planner.turn(whole(8, rows=99))).any(dim=1).float().mean() > 0.6
    assert (DUS(order="random", seed=2).turn(whole(8, rows=99)) != planner.turn(whole(8, rows=99))).any()


@quick
@given(batches(max_width=16), groupings, st.sampled_from(["sum", "mean"]))
def test_entropy_order_takes_the_remaining_group_of_least_entropy(batch, grouping, by):
    planner = planner_of(*grouping, order="entropy", by=by)
    for row, chosen in zip(batch.rows, offsets(planner.select(batch.block, batch.prediction)), strict=True):
        remaining = [group & row.masked for group in groups_of(row.length, *grouping) if group & row.masked]
        entropy = [sum(row.scores["entropy"][k] for k in group) for group in remaining]
        if by == "mean":
            entropy = [value / len(group) for value, group in zip(entropy, remaining, strict=True)]
        assert chosen == remaining[entropy.index(min(entropy))]


@quick
@given(st.integers(1, 100), st.integers(2, 5), st.none() | st.integers(1, 150))
def test_residue_classes_are_of_equal_size_and_spaced_by_the_stride(length, base, stride):
    planner = DUS(base=base, groups="residues", stride=stride)
    wanted = min(len(levels(length, base)) if stride is None else stride, length)
    [found] = unmasked(planner, whole(length))
    assert len(found) == planner.num_steps(length) == wanted
    assert max(map(len, found)) - min(map(len, found)) <= 1
    for group in found:
        assert group == set(range(min(group), length, wanted))


def test_a_stride_longer_than_the_block_makes_groups_of_one():
    planner = DUS(order="fine-to-coarse", groups="residues", stride=12)
    assert unmasked(planner, whole(3)) == [[{2}, {1}, {0}]]


@quick
@given(beginnings(max_width=24, given=False), groupings, st.sampled_from(["fine-to-coarse", "random"]))
def test_a_position_held_back_is_wanted_again_at_the_very_next_step(block, grouping, order):
    planner = planner_of(*grouping, order=order)
    turn = planner.turn(block)
    for step in range(planner.num_steps(block.masked.shape[1])):
        now = block.at(torch.full_like(block.step, step))
        assert torch.equal(planner.wanted(now), block.masked & (turn <= step))


@pytest.mark.parametrize(
    "fields",
    [
        {"base": 1},
        {"order": "sideways"},
        {"by": "median"},
        {"groups": "pairs"},
        {"stride": 4},
        {"groups": "residues", "stride": 0},
    ],
)
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError):
        DUS(**fields)
