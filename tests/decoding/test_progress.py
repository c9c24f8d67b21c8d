"""Every step makes progress, whatever the planner does."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.planners import Planner, PlannerError, Schedule, Spaced

from .standins import MASK, hashed, rows, scripted


@dataclass(frozen=True)
class SelectsNothing(Planner):
    def select(self, block, prediction):
        return block.masked & False


@dataclass(frozen=True)
class TakesEverything(Planner):
    """Wants and takes back every position, unmasked and given ones and those beyond the end, and selects all masks."""

    def wanted(self, block):
        return block.masked | True

    def select(self, block, prediction):
        return block.masked

    def revise(self, block, prediction):
        return block.masked | True


@dataclass(frozen=True)
class WantsNothing(SelectsNothing):
    def wanted(self, block):
        return block.masked & False


@dataclass(frozen=True)
class WantsOnlyTheUnmasked(TakesEverything):
    def wanted(self, block):
        return ~block.masked

    def select(self, block, prediction):
        return block.masked & False


@dataclass(frozen=True)
class TakesBackAllThatItUnmasked(Planner):
    """One position forward, all others back, for ever."""

    count: int = 1

    def wanted(self, block):
        return block.initially_masked

    def select(self, block, prediction):
        return block.masked & (block.masked.cumsum(dim=1) <= self.count)

    def revise(self, block, prediction):
        return ~block.masked


@dataclass(frozen=True)
class EmptyLevels(SelectsNothing):
    """Knows its number of steps, and wants nothing in any of them."""

    def wanted(self, block):
        return block.masked & False

    def num_steps(self, block_length):
        return 2 * block_length


@dataclass(frozen=True)
class EmptySchedule(Schedule):
    def wanted(self, block):
        return block.masked & False

    def num_steps(self, block_length):
        return 5


@dataclass(frozen=True)
class LateSchedule(Schedule):
    """Every level is empty but the fourth, which lies behind the end of its own plan."""

    def wanted(self, block):
        return block.masked & (block.step == 3)[:, None]

    def num_steps(self, block_length):
        return 3


@dataclass(frozen=True)
class EvenInTheLastLevel(Schedule):
    """Nothing in levels 0 and 1, the even positions in the last one, and the others forgotten."""

    def wanted(self, block):
        return block.masked & (block.step == 2)[:, None] & (torch.arange(block.masked.shape[1]) % 2 == 0)

    def num_steps(self, block_length):
        return 3


@dataclass(frozen=True)
class Erratic(Planner):
    """Bits of a counter decide."""

    seed: int = 0

    def bits(self, block, salt):
        place = torch.arange(block.masked.shape[1]) + 31 * block.step[:, None] + salt + self.seed
        return (place * 2654435761 >> 7) % 3 == 0

    def wanted(self, block):
        return self.bits(block, 1)

    def select(self, block, prediction):
        return self.bits(block, 2) & self.wanted(block) & block.masked

    def revise(self, block, prediction):
        return self.bits(block, 3)


HOSTILE = [
    SelectsNothing(),
    TakesEverything(),
    WantsNothing(),
    WantsOnlyTheUnmasked(),
    TakesBackAllThatItUnmasked(),
    TakesBackAllThatItUnmasked(3),
    EmptyLevels(),
    EmptySchedule(),
    LateSchedule(),
    EvenInTheLastLevel(),
    Erratic(),
    Erratic(1),
    Spaced(TakesEverything(), 4),
    Spaced(EmptyLevels(), 3),
]


@pytest.mark.parametrize("planner", HOSTILE, ids=repr)
@settings(deadline=None, max_examples=20)
@given(
    prompts=st.lists(st.lists(st.integers(0, 12), max_size=20), min_size=1, max_size=3),
    max_new_tokens=st.integers(1, 12),
    block_length=st.integers(1, 12),
    scores=st.booleans(),
)
def test_a_hostile_planner_ends_and_breaks_nothing(planner, prompts, max_new_tokens, block_length, scores):
    prompts = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    whole = [torch.cat([prompt, torch.zeros(max_new_tokens, dtype=torch.long)]) for prompt in prompts]
    starts = [row.tolist().index(MASK) for row in whole]
    calls = {}

    def watch(step):
        """Each step gives more than it takes, within what was masked from the start."""
        for number, row in enumerate(step.rows):
            offset = starts[row] + step.starts[number]
            block = whole[row][offset : offset + step.lengths[number]]
            width = len(block)
            free = block == MASK
            assert not (step.unmasked[number, :width] & ~free).any()
            assert not (step.remasked[number, :width] & ~free).any()
            assert not step.unmasked[number, width:].any()
            assert not step.remasked[number, width:].any()
            assert int(step.unmasked[number].sum()) > int(step.remasked[number].sum())
            calls[row, offset] = calls.get((row, offset), 0) + 1

    got = dus.generate(
        hashed(8),
        prompts,
        planner=planner,
        max_new_tokens=max_new_tokens,
        block_length=block_length,
        eos="ignore",
        scores=scores,
        progress=watch,
    )
    assert max(calls.values()) <= block_length
    for number, row in enumerate(whole):
        expected, tokens = row[starts[number] :], got.tokens[number]
        assert len(tokens) == len(expected)
        assert not (tokens == MASK).any()
        assert tokens[expected != MASK].tolist() == expected[expected != MASK].tolist()
        assert ((got.trace.step[number] >= 0) == (expected == MASK)).all()
        assert got.nfe[number] == sum(count for (other, _), count in calls.items() if other == number)


def test_a_planner_that_selects_nothing_goes_token_by_token_most_confident_first():
    model, prompt = hashed(9), [torch.tensor([3, 4])]
    idle = dus.generate(model, prompt, planner=SelectsNothing(), max_new_tokens=12, block_length=6, eos="ignore")
    sure = dus.generate(model, prompt, planner="confidence", max_new_tokens=12, block_length=6, eos="ignore")
    assert idle.tokens[0].tolist() == sure.tokens[0].tolist()
    assert idle.trace.step[0].tolist() == sure.trace.step[0].tolist()


def test_a_planner_that_was_never_registered_decodes_and_is_named_in_the_trace():
    for planner in (SelectsNothing(), Spaced(Erratic(3), 2)):
        got = dus.generate(hashed(9), [torch.tensor([3])], planner=planner, max_new_tokens=4)
        assert got.trace.planner == repr(planner)
    assert dus.generate(hashed(9), [torch.tensor([3])], planner="eb | spaced(gap=2)").trace.planner == str(
        dus.parse("eb | spaced(gap=2)")
    )


def test_a_step_that_takes_back_too_much_keeps_the_tokens_that_are_most_probable_now():
    model = scripted([3] * 9, before=1, certainty=[2.0, 5.0, 1.0, 4.0, 8.0, 3.0, 6.0, 7.0, 9.0])
    unmasked, remasked = [], []
    for step in dus.steps(
        model, [torch.tensor([3])], planner=TakesBackAllThatItUnmasked(3), max_new_tokens=9, block_length=9
    ):
        unmasked.append(step.unmasked[0].nonzero().flatten().tolist())
        remasked.append(step.remasked[0].nonzero().flatten().tolist())
    # The first three masks each time, and back go two of what stood there before.
    assert unmasked[:3] == [[0, 1, 2], [3, 4, 5], [0, 2, 6]]
    assert remasked[:3] == [[], [0, 2], [3, 5]]


def test_a_position_taken_back_and_never_written_again_is_no_possibility():
    got = dus.generate(
        hashed(11),
        [torch.tensor([3])],
        planner=TakesBackAllThatItUnmasked(2),
        max_new_tokens=16,
        block_length=16,
        eos="ignore",
    )
    assert MASK not in got.tokens[0].tolist()
    assert int(got.trace.step[0].max()) == got.nfe[0] - 1


def test_empty_levels_of_a_known_schedule_cost_no_call():
    # Offsets 0, 1 and 2 of a block of 16 belong to the levels of stride 8, 1 and 2: three calls, not four.
    masks = [MASK, MASK, MASK, *[5] * 13]
    got = dus.generate(hashed(12), [torch.tensor([4, *masks])], planner="dus", max_new_tokens=0, block_length=16)
    assert got.nfe == [3]
    assert got.trace.step[0].tolist() == [0, 2, 1, *[-1] * 13]


def test_levels_are_passed_over_up_to_the_last_and_what_a_schedule_forgets_comes_behind_it():
    got = dus.generate(hashed(12), [torch.tensor([4])], planner=EvenInTheLastLevel(), max_new_tokens=5, eos="ignore")
    assert got.trace.step[0].tolist() == [0, 1, 0, 1, 0]


@dataclass(frozen=True)
class Quarters(Schedule):
    """Four positions a step, and it does not say how many steps that makes."""

    def wanted(self, block):
        return block.masked & (torch.arange(block.masked.shape[1]) // 4 == block.step[:, None])


def test_empty_levels_are_passed_over_where_nobody_knows_how_many_there_are():
    row = torch.tensor([*[MASK] * 4, *[5] * 4, *[MASK] * 8])
    got = dus.generate(hashed(12), [row], planner=Quarters(), max_new_tokens=0, block_length=16)
    assert got.trace.step[0].tolist() == [*[0] * 4, *[-1] * 4, *[1] * 4, *[2] * 4]


@given(st.sets(st.integers(1, 15)))
@settings(max_examples=50, deadline=None)
def test_a_spacing_that_dus_keeps_to_anyway_changes_nothing(masks):
    row = torch.tensor([MASK if offset in {0, *masks} else 5 for offset in range(16)])
    plain, spaced = (
        dus.generate(hashed(12), [row], planner=planner, max_new_tokens=0, block_length=16)
        for planner in ("dus", "dus | spaced(gap=2)")
    )
    assert rows(plain, 0) == rows(spaced, 0)


def test_a_block_without_masks_costs_no_call():
    row = torch.tensor([4, MASK, *[5] * 11, MASK])
    seen = []
    got = dus.generate(
        hashed(13),
        [row],
        planner="dus",
        max_new_tokens=0,
        block_length=4,
        progress=lambda step: seen.extend(step.starts),
    )
    assert got.nfe == [2]
    assert seen == [0, 12]


@dataclass(frozen=True)
class Flat(Planner):
    """Answers `[B]` where `[N, B]` is asked for."""

    def select(self, block, prediction):
        return block.masked[0]


@dataclass(frozen=True)
class Numbers(Planner):
    def wanted(self, block):
        return block.masked.float()

    def select(self, block, prediction):
        return block.masked


@dataclass(frozen=True)
class PicksTheUnmasked(Planner):
    def select(self, block, prediction):
        return ~block.masked


@dataclass(frozen=True)
class PicksTheUnwanted(Planner):
    def wanted(self, block):
        return block.masked & (block.masked.cumsum(dim=1) == 1)

    def select(self, block, prediction):
        return block.masked


@pytest.mark.parametrize(
    ("planner", "message"),
    [
        (Flat(), r"Flat\(\): select has to return a bool tensor \[2, 4\], not torch.bool \[4\]"),
        (Numbers(), r"Numbers\(\): wanted has to return a bool tensor \[2, 4\], not torch.float32 \[2, 4\]"),
        (PicksTheUnmasked(), r"PicksTheUnmasked\(\): select returns positions that are not masked, or that it did not"),
        (PicksTheUnwanted(), r"PicksTheUnwanted\(\): select returns positions that are not masked, or that it did not"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_planner_may_not_return_is_an_error_that_names_it(planner, message):
    rows = torch.tensor([[3, MASK, MASK, 4, 5], [3, MASK, 4, MASK, MASK]])
    with pytest.raises(PlannerError, match=message):
        dus.generate(hashed(1), rows, planner=planner, max_new_tokens=0, block_length=4)


@dataclass(frozen=True)
class TakesAllBackUnasked(Planner):
    """Takes back all that it unmasked, and asks about masks alone; three positions a step."""

    def select(self, block, prediction):
        return block.masked & (block.masked.cumsum(dim=1) <= 3)

    def revise(self, block, prediction):
        return block.initially_masked & ~block.masked


@pytest.mark.parametrize("around", [lambda planner: planner, lambda planner: Spaced(planner, 0)])
def test_what_is_taken_back_unasked_was_the_least_sure_when_it_was_written(around):
    certainty = [5.0, 1.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    model = scripted([2] * 8, before=1, vocab_size=4, certainty=certainty)
    steps = list(
        dus.steps(model, [[3]], planner=around(TakesAllBackUnasked()), max_new_tokens=8, block_length=8, scores=False)
    )
    assert steps[0].unmasked[0].nonzero()[:, 0].tolist() == [0, 1, 2]
    assert steps[1].unmasked[0].nonzero()[:, 0].tolist() == [3, 4, 5]
    assert steps[1].remasked[0].nonzero()[:, 0].tolist() == [1, 2]
