"""Editing against the published loop of LLaDA2.1, written down here again, on a toy that changes its mind."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import (
    BlockState,
    ConfidenceBounded,
    Deferred,
    Edited,
    EntropyBounded,
    PlannerError,
    Prediction,
    Saber,
    Spaced,
)

from .blocks import batches, beginnings, offsets, quick
from .loop import LINGERING, World, decode

VOCAB, MASK = 6, 5
settings = {
    "tau": st.sampled_from([0.3, 0.6, 0.9]),
    "least": st.integers(1, 3),
    "threshold": st.sampled_from([0.2, 0.4, 0.7, 1]),
    "rounds": st.integers(0, 6),
}


class Toy:
    """Probabilities of each position's token, drawn for each pair of a position and a token that it sees."""

    def __init__(self, seed, width, sharpness):
        draws = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(width, width, VOCAB, VOCAB, generator=draws) * sharpness

    def __call__(self, tokens):
        width = torch.arange(len(tokens))
        logits = self.weights[:, width, tokens].sum(dim=1)
        logits[:, MASK] = -torch.inf
        return logits.softmax(dim=-1)


def published(toy, tokens, given, *, tau, least, threshold, rounds):
    """The tokens and the number of calls, position by position in plain Python."""
    tokens, calls, without_masks = list(tokens), 0, 0
    while True:
        masks = [k for k, token in enumerate(tokens) if token == MASK]
        if not masks:
            without_masks += 1
            if without_masks > rounds:
                return tokens, calls
        probability = toy(torch.tensor(tokens)).tolist()
        calls += 1
        chosen = [max(range(VOCAB), key=row.__getitem__) for row in probability]
        sure = [probability[k][chosen[k]] for k in range(len(tokens))]
        written = {k for k in masks if sure[k] > tau}
        if len(written) < least:
            written = set(sorted(masks, key=lambda k: -sure[k])[:least])
        edited = {
            k for k in set(range(len(tokens))) - set(masks) - given if sure[k] > threshold and chosen[k] != tokens[k]
        }
        for k in written | edited:
            tokens[k] = chosen[k]
        if not masks and not edited:
            return tokens, calls


def ours(toy, tokens, planner):
    """The same by the planner, in the loop that it is meant for."""
    tokens, calls = torch.tensor(tokens), 0
    block = BlockState.begin(tokens[None] == MASK)
    while block.masked.any() or planner.lingers(block).any():
        probability = toy(tokens)
        confidence, token = probability.max(dim=-1)
        prediction = Prediction(
            confidence=confidence[None],
            token=token[None],
            token_confidence=probability.gather(1, tokens[:, None])[:, 0][None],
        )
        selected, edited = planner.select(block, prediction), planner.edit(block, prediction)
        tokens = token.where((selected | edited)[0], tokens)
        block = block.after(selected, None, confidence[None], edited)
        calls += 1
    return tokens.tolist(), calls


@quick
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 10),
    st.sampled_from([0.3, 1, 3]),
    st.data(),
    st.fixed_dictionaries(settings),
)
def test_it_writes_what_the_published_loop_writes_in_as_many_calls(seed, width, sharpness, data, fields):
    given = data.draw(st.sets(st.integers(0, width - 1), max_size=width - 1))
    tokens = [data.draw(st.integers(0, MASK - 1)) if k in given else MASK for k in range(width)]
    toy = Toy(seed, width, sharpness)
    planner = Edited(ConfidenceBounded(fields["tau"], fields["least"]), fields["threshold"], fields["rounds"])
    assert ours(toy, tokens, planner) == published(toy, tokens, given, **fields)


def test_the_toy_changes_its_mind_often_enough_to_tell():
    """Of 100 blocks a good many end otherwise, and after more calls, than without editing."""
    other = 0
    for seed in range(100):
        toy, tokens = Toy(seed, 8, 1), [MASK] * 8
        plain, calls = ours(toy, tokens, ConfidenceBounded(0.6))
        edited, more = ours(toy, tokens, Edited(ConfidenceBounded(0.6), 0.4, 8))
        other += plain != edited and more > calls + 1
    assert other > 30


@quick
@given(batches(), st.sampled_from([ConfidenceBounded(0.5), Saber(3), EntropyBounded(1)]))
def test_nothing_given_masked_or_taken_back_is_edited(batch, inner):
    planner = Edited(inner, 0.2)
    edited = planner.edit(batch.block, batch.prediction)
    assert not (edited & (batch.block.given | batch.block.masked)).any()
    assert not (edited & planner.revise(batch.block, batch.prediction)).any()
    for row, found in zip(batch.rows, offsets(edited), strict=True):
        sure = {k for k in row.unmasked if row.scores["confidence"][k] > 0.2}
        other = {k for k in sure if row.scores["confidence"][k] != row.scores["token_confidence"][k]}
        assert found == other - offsets(planner.revise(batch.block, batch.prediction))[batch.rows.index(row)]


@quick
@given(beginnings(max_width=10), st.integers(0, LINGERING), st.integers(0, 99))
def test_the_rounds_are_the_most_calls_without_a_mask_and_none_is_made_after_one_that_changes_nothing(
    block, rounds, seed
):
    planner = Edited(ConfidenceBounded(0.5), 0.8, rounds)
    for row in decode(planner, block, World(seed, block.row, block.masked.shape[1])):
        writing = max((place for place, call in enumerate(row) if call.unmasked), default=-1) + 1
        extra = row[writing:]
        assert len(extra) <= rounds
        assert all(call.edited for call in extra[:-1])
        assert not extra or len(extra) == rounds or not extra[-1].edited


@quick
@given(batches(), st.sampled_from([Spaced, Deferred]))
def test_wrappers_around_it_edit_as_it_does(batch, wrapper):
    planner = Edited(ConfidenceBounded(0.5), 0.2)
    around = wrapper(planner)
    assert around.edits
    assert torch.equal(around.edit(batch.block, batch.prediction), planner.edit(batch.block, batch.prediction))
    done = batch.block.after(batch.block.masked)
    assert torch.equal(around.lingers(done), planner.lingers(done))
    assert around.lingers(done).all()
    assert not around.lingers(batch.block).any()


@pytest.mark.parametrize("fields", [{"threshold": 1.5}, {"threshold": float("nan")}, {"rounds": -1}])
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError):
        Edited(ConfidenceBounded(), **fields)
