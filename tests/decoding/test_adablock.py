"""AdaBlock's lengths: by the rule in plain Python, the same alone and in a batch, and what names no rule."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.decoding import GenerationError, Settings
from dus.decoding.adablock import AdaBlock
from dus.decoding.lengths import BlockLengthError

from .standins import MASK, hashed, scripted

PROMPTS = [[5, 3, 7], [8], [4, MASK, 6, MASK, 2], [9, 9, 2, 3, 4, 5]]
TEXT = "adablock(ids='3 7', tau=0.2, window=6, otherwise=4)"
places = st.tuples(st.sampled_from([3, 5, 7]), st.integers(0, 8).map(lambda n: n / 8), st.booleans())


def by_hand(rule, row):
    """The first of the surest wanted delimiters in the window, where it is sure enough; up to a wanted position."""
    sure = [
        (-confidence, place)
        for place, (token, confidence, wanted) in enumerate(row[: rule.window])
        if wanted and token in rule.ids
    ]
    best = min(sure, default=(1.0, 0))
    length = best[1] + 1 if -best[0] >= rule.tau else rule.otherwise
    return max(length, next(place for place, (*_, wanted) in enumerate(row) if wanted) + 1)


@given(
    st.lists(st.lists(places, min_size=8, max_size=8), min_size=1, max_size=4),
    st.sampled_from([(3,), (3, 7)]),
    st.integers(0, 8).map(lambda n: n / 8),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_lengths_are_the_rules(rows, ids, tau, window, otherwise):
    rows = [
        [(token, confidence, wanted or place == 5) for place, (token, confidence, wanted) in enumerate(row)]
        for row in rows
    ]
    token, confidence, wanted = (torch.tensor([[seen[part] for seen in row] for row in rows]) for part in range(3))
    rule = AdaBlock(ids, tau, window, otherwise)
    assert rule.lengths(wanted, token=token, confidence=confidence).tolist() == [by_hand(rule, row) for row in rows]


def generate(model, prompts=PROMPTS, **kwargs):
    kwargs = {"planner": "dus", "max_new_tokens": 17, "block_length": TEXT, "eos": "ignore", **kwargs}
    return dus.generate(model, [torch.tensor(prompt) for prompt in prompts], **kwargs)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), planner=st.sampled_from(["dus", "cb(tau=0.5)", "deb"]))
def test_a_row_alone_is_the_row_in_its_batch(seed, planner):
    together = generate(hashed(seed, sharpness=7.0), planner=planner)
    apart = generate(hashed(seed, sharpness=7.0), planner=planner, batch_size=1)
    assert together.trace.blocks == apart.trace.blocks
    assert [tokens.tolist() for tokens in together.tokens] == [tokens.tolist() for tokens in apart.tokens]
    assert together.nfe == apart.nfe


def test_blocks_end_behind_the_surest_delimiter():
    answer = [2, 2, 3, 2, 2, 2, 3, 2, 2, 2]
    model = scripted(answer, before=1, vocab_size=9, certainty=[9.0] * 10)
    found = generate(model, [[5]], max_new_tokens=10, block_length="adablock(ids='3', window=6, otherwise=4)")
    assert found.trace.blocks == [[3, 7, 10]]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("adablock(ids='198')", AdaBlock((198,))),
        (" adablock( ids = '13 198' ; tau=0.5, window=8 ; otherwise=16 ) ", AdaBlock((13, 198), 0.5, 8, 16)),
    ],
)
def test_texts_that_name_a_rule(text, rule):
    assert AdaBlock.parse(text) == rule
    assert Settings(block_length=text).auto == rule
    assert Settings(block_length=text).longest == max(rule.window, rule.otherwise)
    assert replace(Settings(block_length=text), block_length=4).auto is None


@pytest.mark.parametrize(
    "inside", ["", "(ids='')", "(tau=0.3)", "(ids='3', tau=2)", "(ids='3', window=0)", "(ids='3', x=1)"]
)
def test_texts_that_name_it_wrongly(inside):
    with pytest.raises(BlockLengthError, match="adablock takes ids"):
        AdaBlock.parse("adablock" + inside)
    with pytest.raises(GenerationError, match="adablock takes ids"):
        Settings(block_length="adablock" + inside)


def test_a_token_that_the_model_does_not_have_is_refused():
    with pytest.raises(GenerationError, match="ends blocks at token 99, but the model has 13"):
        generate(hashed(0), block_length="adablock(ids='3 99')")
