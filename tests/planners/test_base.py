"""The state of a block, and predictions that are computed when they are read."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import BlockState, PlannerError, Prediction

from .blocks import SCORES, batches, beginnings, offsets, quick


@quick
@given(beginnings())
def test_a_block_begins_with_nothing_unmasked_and_nothing_beyond_its_length(block):
    for row, length in enumerate(block.length.tolist()):
        masked, given = offsets(block.masked)[row], offsets(block.given)[row]
        assert masked | given == set(range(length))
        assert not masked & given
    assert torch.equal(block.masked, block.initially_masked)
    assert (block.unmasked_at == -1).all()
    assert not block.step.any()
    assert not block.confidence_then.any()


def test_a_block_is_as_wide_as_its_mask_and_rows_are_numbered_unless_told_otherwise():
    block = BlockState.begin(torch.tensor([[True, False], [True, True]]))
    assert block.length.tolist() == [2, 2]
    assert block.row.tolist() == [0, 1]
    assert block.start.tolist() == [0, 0]


@quick
@given(batches(), st.data())
def test_a_step_is_remembered_position_by_position(batch, data):
    before = batch.block
    selected = before.masked & _some(data, before)
    revised = before.initially_masked & ~before.masked & _some(data, before)
    edited = before.initially_masked & ~before.masked & ~revised & _some(data, before)
    confidence = batch.prediction.confidence
    after = before.after(selected, revised, confidence, edited)
    for i, row in enumerate(batch.rows):
        chosen, back, over = offsets(selected)[i], offsets(revised)[i], offsets(edited)[i]
        assert offsets(after.masked)[i] == (row.masked - chosen) | back
        assert (after.step[i], after.changed[i], after.extra[i]) == (row.step + 1, len(over), 0)
        for k in range(batch.width):
            then = (int(after.unmasked_at[i, k]), float(after.confidence_then[i, k]))
            if k in chosen:
                assert then == (row.step, row.scores["confidence"][k])
            elif k in back:
                assert then == (-1, 0)
            elif k in over:
                assert then == (before.unmasked_at[i, k], row.scores["confidence"][k])
            else:
                assert then == (before.unmasked_at[i, k], before.confidence_then[i, k])
    for kept in ("given", "initially_masked", "length", "row", "start", "divergence_then"):
        assert torch.equal(getattr(after, kept), getattr(before, kept))
    told = before.after(selected, divergence=batch.prediction.divergence)
    assert torch.equal(told.divergence_then, batch.prediction.divergence)
    assert not told.changed.any()


def test_calls_are_counted_from_when_no_mask_is_left():
    block = BlockState.begin(torch.tensor([[True, True], [True, False]]))
    first = torch.tensor([[True, False], [True, False]])
    none = first & False
    extras = []
    for selected in (first, ~first & block.masked, none, none):
        block = block.after(selected)
        extras.append(block.extra.tolist())
    assert extras == [[0, 0], [0, 1], [1, 2], [2, 3]]


def _some(data, block):
    count = block.masked.numel()
    return torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count))).view(block.masked.shape)


@quick
@given(batches())
def test_some_rows_of_a_block_are_those_rows(batch):
    keep = torch.arange(len(batch.rows)).flip(0)
    for name, value in vars(batch.block[keep]).items():
        assert torch.equal(value, getattr(batch.block, name).flip(0))
    odd = torch.arange(len(batch.rows)) % 2 == 1
    assert batch.block[odd].row.tolist() == [row.index for row in batch.rows[1::2]]


def test_a_prediction_is_computed_once_and_only_when_it_is_read():
    read = []

    def entropy():
        read.append("entropy")
        return torch.zeros(1, 1)

    prediction = Prediction(confidence=torch.ones(1, 1), entropy=entropy)
    assert prediction.confidence.item() == 1
    assert read == []
    assert prediction.entropy is prediction.entropy
    assert read == ["entropy"]


@pytest.mark.parametrize("name", SCORES)
def test_a_prediction_without_a_score_says_so(name):
    with pytest.raises(PlannerError, match=f"reads {name}"):
        getattr(Prediction(), name)
