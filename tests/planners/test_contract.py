"""What holds for every planner, registered ones and those to come."""

import ast
import pickle
from copy import copy
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dus.planners
from dus.planners import DUS, Deferred, PlannerError, Prediction, Wrapper, parse, registered
from dus.planners.fields import text_fields

from .blocks import SCORES, batches, beginnings, brief, quick
from .kinds import KINDS, planners, unwrapped
from .loop import World, decode

worlds = st.integers(0, 2**32 - 1)
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@brief
@given(data=st.data(), block=beginnings(max_width=16), seed=worlds)
def test_decoding_ends_and_unmasks_what_was_masked_and_nothing_else(kind, data, block, seed):
    """The loop that decodes also checks each selection: within wanted and masked, revising nothing given."""
    planner = data.draw(KINDS[kind])
    calls = decode(planner, block, World(seed, block.row, block.masked.shape[1]))
    for masked, row in zip(block.masked, calls, strict=True):
        standing = set()
        for call in row:
            assert call.edited <= standing - call.revised
            standing = (standing - call.revised) | call.unmasked
        assert standing == set(masked.nonzero()[:, 0].tolist())


@every_kind
@brief
@given(data=st.data(), block=beginnings(max_width=12), seed=worlds)
def test_a_row_alone_is_decoded_as_in_its_batch(kind, data, block, seed):
    planner, world = data.draw(KINDS[kind]), World(seed, block.row, block.masked.shape[1])
    together = decode(planner, block, world)
    for row, calls in enumerate(together):
        assert decode(planner, block[torch.tensor([row])], world) == [calls]


@every_kind
@brief
@given(data=st.data(), block=beginnings(max_width=24, max_rows=2, given=False), seed=worlds)
def test_a_wholly_masked_block_takes_the_calls_that_were_announced(kind, data, block, seed):
    planner = data.draw(KINDS[kind])
    calls = decode(planner, block, World(seed, block.row, block.masked.shape[1]))
    for length, row in zip(block.length.tolist(), calls, strict=True):
        assert planner.num_steps(length) in (None, len(row))


@every_kind
def test_the_example_of_a_kind_is_for_blocks_of_its_length_and_its_text_is_read_back(kind):
    cls = registered()[kind]
    if not issubclass(cls, Wrapper):
        for length in (1, 2, 9, 32):
            cls.example(length).check(length)
            assert parse(str(cls.example(length))) == cls.example(length)


@every_kind
def test_a_value_of_a_wrong_type_is_refused_by_planner_and_field(kind):
    cls = registered()[kind]
    inner = [DUS()] if issubclass(cls, Wrapper) else []
    for name in text_fields(cls):
        with pytest.raises(PlannerError, match=rf"^{kind}: {name} is \[\], but has to be "):
            cls(*inner, **{name: []})
    if inner:
        with pytest.raises(PlannerError, match=f"^{kind}: inner is 'dus', but has to be a planner"):
            cls("dus")


@quick
@given(planners, batches())
def test_scores_of_positions_that_are_not_wanted_change_nothing(planner, batch):
    wanted = planner.wanted(batch.block)
    blind = Prediction(**{name: getattr(batch.prediction, name).masked_fill(~wanted, 0) for name in SCORES})
    for rule in (planner.select, planner.revise, planner.edit):
        assert torch.equal(rule(batch.block, batch.prediction), rule(batch.block, blind))


@quick
@given(unwrapped, batches())
def test_a_scheduled_planner_reads_no_prediction_and_takes_all_that_it_wants(planner, batch):
    if planner.scheduled:
        selected = planner.select(batch.block, Prediction())
        assert torch.equal(selected, planner.wanted(batch.block) & batch.block.masked)
        with pytest.raises(PlannerError):
            Deferred(planner).select(batch.block, Prediction())


@quick
@given(planners)
def test_a_planner_is_its_fields_and_cannot_be_changed(planner):
    assert set(vars(planner)) == {field.name for field in fields(planner)}
    assert hash(copy(planner)) == hash(planner)
    assert pickle.loads(pickle.dumps(planner)) == planner
    with pytest.raises(FrozenInstanceError):
        setattr(planner, fields(planner)[0].name, 0)


def test_every_name_of_the_room_is_there_and_every_registered_planner_is_one_of_them():
    assert all(hasattr(dus.planners, name) for name in dus.planners.__all__)
    assert {cls.__name__ for cls in registered().values()} <= set(dus.planners.__all__)


def test_planners_import_nothing_of_ours_but_planners():
    for file in Path(dus.planners.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{file.name} reaches out of its room"
                names = [node.module or ""] if node.level == 0 else []
            assert not [name for name in names if name.split(".")[0] == "dus" and not name.startswith("dus.planners")]
