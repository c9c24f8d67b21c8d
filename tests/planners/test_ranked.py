"""The ranked planners: how many positions a step, and which."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import DUS, BlockState, Confidence, Entropy, Halton, LeftToRight, Margin, PlannerError, Random, ReMDM
from dus.planners.ranked import Ranked

from .blocks import batches, beginnings, offsets, quick
from .kinds import seeds
from .loop import World, decode
from .plain import best_first, equal_counts, levels, residues

SCORED = {Confidence: ("confidence", 1), Entropy: ("entropy", -1), Margin: ("margin", 1)}
RANKED = [*SCORED, Random, LeftToRight, Halton]

ranked = st.sampled_from(RANKED)


def unmasked(planner, block):
    """For each row the sets that its calls unmask."""
    calls = decode(planner, block, World(0, block.row, block.masked.shape[1]))
    return [[call.unmasked for call in row] for row in calls]


def sizes(planner, block):
    return [[len(chosen) for chosen in row] for row in unmasked(planner, block)]


def masked_count(block):
    return block.masked.sum(dim=1).tolist()


@pytest.mark.parametrize("kind", SCORED)
@quick
@given(batch=batches(), k=st.integers(1, 14))
def test_the_best_by_the_score_are_taken_and_ties_go_to_the_lower_position(kind, batch, k):
    name, sign = SCORED[kind]
    chosen = offsets(kind(per_step=k).select(batch.block, batch.prediction))
    for row, found in zip(batch.rows, chosen, strict=True):
        assert found == set(best_first([sign * value for value in row.scores[name]], row.masked)[:k])


@quick
@given(batches(), st.integers(1, 14))
def test_left_to_right_takes_the_leftmost(batch, k):
    chosen = offsets(LeftToRight(per_step=k).wanted(batch.block))
    assert chosen == [set(sorted(row.masked)[:k]) for row in batch.rows]


@quick
@given(batches(), st.integers(1, 14))
def test_halton_takes_the_first_by_mirrored_bits(batch, k):
    chosen = offsets(Halton(per_step=k).wanted(batch.block))
    mirrored = [int(f"{offset:010b}"[::-1], 2) for offset in range(batch.block.masked.shape[1])]
    assert chosen == [set(sorted(row.masked, key=mirrored.__getitem__)[:k]) for row in batch.rows]


@pytest.mark.parametrize("length", [1, 2, 4, 8, 32, 128])
def test_halton_with_the_counts_of_dus_is_dus(length):
    block = BlockState.begin(torch.ones(3, length, dtype=torch.bool))
    assert unmasked(Halton(like=DUS()), block) == unmasked(DUS(), block)


@quick
@given(ranked, beginnings(), st.integers(1, 30))
def test_counts_per_step_are_constant_and_the_last_takes_the_rest(kind, block, k):
    expected = [[k] * (size // k) + [size % k] * (size % k > 0) for size in masked_count(block)]
    assert sizes(kind(per_step=k), block) == expected


@quick
@given(ranked, beginnings(), st.integers(1, 30))
def test_counts_of_so_many_steps_are_equal_with_the_remainder_first(kind, block, steps):
    assert sizes(kind(steps=steps), block) == [equal_counts(size, steps) for size in masked_count(block)]


@quick
@given(ranked, beginnings(max_width=40), st.integers(2, 5), st.none() | st.integers(1, 12))
def test_like_dus_takes_the_sizes_of_its_levels_that_hold_a_mask(kind, block, base, stride):
    like = DUS(base=base) if stride is None else DUS(base=base, groups="residues", stride=stride)
    expected = []
    for length, masked in zip(block.length.tolist(), offsets(block.masked), strict=True):
        groups = levels(length, base) if stride is None else residues(length, stride)
        expected.append([len(group & masked) for group in groups if group & masked])
    assert sizes(kind(like=like), block) == expected


@quick
@given(ranked, beginnings(max_width=40), st.sampled_from(["fine-to-coarse", "random"]))
def test_like_dus_in_another_order_takes_its_sizes_in_that_order(kind, block, order):
    like = DUS(order=order, seed=3)
    assert sizes(kind(like=like), block) == sizes(like, block)


@quick
@given(ranked, st.integers(1, 100), st.integers(1, 120), st.integers(1, 120), st.integers(2, 5))
def test_a_wholly_masked_block_takes_the_steps_that_were_announced(kind, length, steps, per_step, base):
    assert kind(steps=steps).num_steps(length) == len(equal_counts(length, steps))
    assert kind(per_step=per_step).num_steps(length) == len(range(0, length, per_step))
    assert kind(like=DUS(base=base)).num_steps(length) == len(levels(length, base))


@quick
@given(batches(), ranked, st.sampled_from([{"steps": 3}, {"like": DUS()}]))
def test_once_the_plan_is_over_all_that_another_rule_held_back_is_taken(batch, kind, rule):
    planner = kind(**rule)
    over = batch.block.at(torch.tensor([planner.num_steps(row.length) for row in batch.rows]))
    assert torch.equal(planner.select(over, batch.prediction), over.masked)


@quick
@given(beginnings(), st.integers(1, 9), seeds)
def test_random_draws_one_order_for_a_block_whatever_the_counts(block, k, seed):
    one_by_one = unmasked(Random(per_step=1, seed=seed), block)
    for row, chunks in zip(one_by_one, unmasked(Random(per_step=k, seed=seed), block), strict=True):
        order = [position for chosen in row for position in chosen]
        assert chunks == [set(order[start : start + k]) for start in range(0, len(order), k)]


def test_random_orders_are_equally_likely_and_differ_between_rows_blocks_and_seeds():
    """Three positions in 6,000 rows: each of six orders about a sixth of the time."""

    def draw(seed=0, start=0, rows=6000):
        block = BlockState.begin(torch.ones(rows, 3, dtype=torch.bool), start=torch.full((rows,), start))
        return Random(seed=seed).order(block).argsort(dim=1)

    orders, counts = draw().unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert (counts - 1000).abs().max() < 150
    for other in (draw(seed=1), draw(start=3)):
        assert (other != draw()).any(dim=1).float().mean() > 0.7


@dataclass(frozen=True)
class LeastSure(Ranked):
    """What a newcomer writes: a score and nothing else."""

    def score(self, block, prediction):
        return -prediction.confidence


def test_a_ranked_planner_of_ones_own_takes_the_same_fields():
    assert LeastSure() == LeastSure(per_step=1)
    assert LeastSure(steps=4).num_steps(16) == 4
    assert replace(LeastSure(steps=4), steps=8) == LeastSure(steps=8)
    assert replace(ReMDM(steps=4), seed=2) == ReMDM(steps=4, seed=2)
    assert replace(Random(steps=4, seed=3), steps=2) == Random(steps=2, seed=3)


def test_token_by_token_is_the_rule_where_nothing_is_said():
    assert Confidence() == Confidence(per_step=1)
    assert Random(seed=4) == Random(per_step=1, seed=4) != Random(per_step=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0},
        {"per_step": 0},
        {"steps": 2, "per_step": 2},
        {"steps": 2, "like": DUS()},
        {"like": DUS(order="entropy")},
        {"like": "dus"},
    ],
)
def test_counts_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError):
        Confidence(**fields)


@pytest.mark.parametrize("kind", RANKED)
def test_a_misspelt_field_is_no_field(kind):
    with pytest.raises(TypeError):
        kind(stpes=8)
