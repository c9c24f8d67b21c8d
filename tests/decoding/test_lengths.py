"""Block lengths chosen for each row: by the rule, at no call of their own, the same alone and in a batch."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.decoding import GenerationError, Settings
from dus.decoding.lengths import Auto, BlockLengthError

from .standins import MASK, Recorder, hashed, rows, scripted

TEXT = "auto(bits=6, shortest=2, longest=8)"
PROMPTS = [[5, 3, 7], [8], [4, MASK, 6, MASK, 2], [9, 9, 2, 3, 4, 5]]


def generate(model, prompts=PROMPTS, **kwargs):
    kwargs = {"planner": "dus", "max_new_tokens": 17, "block_length": TEXT, "eos": "ignore", **kwargs}
    return dus.generate(model, [torch.tensor(prompt) for prompt in prompts], **kwargs)


def bits_of(model, canvas, place):
    """Entropy at a place, the mask token never being predicted."""
    logits = model.logits(canvas[None], read=torch.tensor([place]))[0, 0].double()
    logits[MASK] = -torch.inf
    return float(torch.special.entr(logits.softmax(0)).sum()) / math.log(2)


def chosen_by_hand(rule, sums, wanted):
    """The longest choice whose entropies add up to at most the bound, and that holds a wanted position."""
    length = rule.shortest
    for choice in rule.choices:
        known = sums[: choice + 1][-1]
        if known <= rule.bits or not any(wanted[:length]):
            length = choice
    return length


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), bits=st.floats(0, 30), planner=st.sampled_from(["dus", "confidence(steps=2)", "saber"]))
def test_every_block_is_as_long_as_the_rule_says(seed, bits, planner):
    model, rule = hashed(seed, sharpness=9.0), Auto(bits, 2, 8)
    found = generate(model, planner=planner, block_length=f"auto(bits={bits}, shortest=2, longest=8)")
    for number, prompt in enumerate(PROMPTS):
        tokens = torch.tensor([*prompt, *[MASK] * 17])
        first = tokens.tolist().index(MASK)
        ends = found.trace.blocks[number]
        assert ends[-1] == len(tokens) - first
        open_places = tokens == MASK
        for start, end in zip([0, *ends], ends, strict=False):
            window = range(first + start, min(first + start + 8, len(tokens)))
            wanted = [bool(open_places[place]) for place in window]
            entropies = [bits_of(model, tokens, place) if open_places[place] else 0.0 for place in window]
            sums = torch.tensor([0.0, *entropies]).cumsum(0).tolist()
            assert end - start == min(chosen_by_hand(rule, sums, wanted), len(window))
            written = [place for place in range(first + start, first + end) if open_places[place]]
            tokens[written] = found.tokens[number][[place - first for place in written]]


def test_all_or_nothing_is_a_fixed_length():
    for bits, length in (("1e9", 8), ("0", 2)):
        for planner in ("dus", "eb(gamma=1)", "random(steps=2)", "saber"):
            model = hashed(3, sharpness=3.0)
            auto = generate(model, planner=planner, block_length=f"auto(bits={bits}; shortest=2; longest=8)")
            fixed = generate(model, planner=planner, block_length=length)
            assert [rows(auto, n) for n in range(4)] == [rows(fixed, n) for n in range(4)]
            assert auto.nfe == fixed.nfe


@pytest.mark.parametrize("how", [{}, {"temperature": 1.0, "seed": 3, "samples": 2}, {"cfg_scale": 0.5}])
@pytest.mark.parametrize("planner", ["dus", "dus | deferred(threshold=0.4)", "eb(gamma=2)", "saber"])
def test_a_row_alone_is_the_row_in_its_batch(planner, how):
    together = generate(hashed(1, sharpness=7.0), planner=planner, **how)
    apart = generate(hashed(1, sharpness=7.0), planner=planner, batch_size=1, **how)
    assert together.trace.blocks == apart.trace.blocks
    assert len({tuple(ends) for ends in together.trace.blocks}) > 1
    assert [tokens.tolist() for tokens in together.tokens] == [tokens.tolist() for tokens in apart.tokens]
    assert together.nfe == apart.nfe


def test_choosing_costs_no_call():
    model = Recorder(hashed(2, sharpness=7.0))
    found = generate(model, [[5, 3, 7]])
    assert found.nfe == [len(model.calls)]
    planner, ends = dus.parse("dus"), found.trace.blocks[0]
    assert found.nfe[0] == sum(planner.num_steps(end - start) for start, end in zip([0, *ends], ends, strict=False))


def test_what_is_sure_makes_long_blocks_and_what_is_not_short_ones():
    certainty = [9.0] * 8 + [0.0] * 8
    model = scripted([3] * 16, before=1, vocab_size=9, certainty=certainty)
    found = generate(model, [[5]], max_new_tokens=16, block_length="auto(bits=4, shortest=2, longest=8)")
    assert found.trace.blocks == [[8, 10, 12, 14, 16]]


def test_blocks_without_a_mask_cost_nothing():
    model = Recorder(hashed(2))
    given = [5, MASK, *[4] * 11, MASK, 3]
    found = generate(model, [given], max_new_tokens=0)
    assert found.nfe == [len(model.calls)] == [2]


def test_rows_stop_at_their_own_ends():
    model = hashed(5, sharpness=6.0)
    found, whole = generate(model, eos="stop"), generate(model, eos="ignore")
    for number, blocks in enumerate(found.trace.blocks):
        assert blocks == whole.trace.blocks[number][: len(blocks)]
        assert len(found.trace.step[number]) == blocks[-1]


def test_of_a_fixed_grid_the_trace_tells_the_blocks_too():
    found = generate(hashed(1), [[5, 3]], block_length=8)
    assert found.trace.blocks == [[8, 16, 17]]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("auto", Auto()),
        (" auto() ", Auto()),
        ("auto(bits=2.5)", Auto(bits=2.5)),
        ("auto(longest=48; shortest=3,bits=1e2)", Auto(100.0, 3, 48)),
    ],
)
def test_texts_that_name_a_rule(text, rule):
    assert Auto.parse(text) == rule
    assert Settings(block_length=text).auto == rule
    assert Settings(block_length=text).longest == rule.choices[-1]


def test_settings_keep_the_rule_when_something_else_of_them_changes():
    settings_ = replace(Settings(block_length=TEXT), cache="dual")
    assert settings_.auto == Auto(6.0, 2, 8)
    assert settings_.longest == 8
    assert replace(settings_, block_length=4).auto is None


def test_choices_double():
    assert Auto(shortest=3, longest=48).choices == [3, 6, 12, 24, 48]
    assert Auto(shortest=4, longest=31).choices == [4, 8, 16]
    assert Settings(block_length=8).auto is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("automatic", "has to be a whole number, auto or auto(bits=8)"),
        ("16", "has to be a whole number, auto or auto(bits=8)"),
        ("auto(8)", "auto takes bits, shortest and longest, a number each"),
        ("auto(bits=many)", "a number each"),
        ("auto(bits=1, bits=2)", "a number each"),
        ("auto(shortest=2.5)", "a number each"),
        ("auto(bits=nan)", "bits start at 0"),
        ("auto(bits=-1)", "bits start at 0"),
        ("auto(shortest=0)", "shortest at 1"),
        ("auto(shortest=8, longest=4)", "at most longest"),
    ],
)
def test_texts_that_name_none(text, part):
    with pytest.raises(BlockLengthError) as caught:
        Auto.parse(text)
    assert part in str(caught.value)
    with pytest.raises(GenerationError) as caught:
        Settings(block_length=text)
    assert part in str(caught.value)
