"""The loop against a plain decoder: equal tokens, equal calls, equal steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus

from . import textbook
from .standins import MASK, hashed

VOCABULARY = 13
tokens = st.integers(1, VOCABULARY - 1)
RULES = {
    "dus": textbook.dus(),
    "dus(base=3)": textbook.dus(3),
    "dus(base=5)": textbook.dus(5),
    "confidence": textbook.adaptive(lambda guesses: [max(guesses, key=lambda place: guesses[place].confidence)]),
    "confidence(steps=3)": textbook.confidence(3),
    "confidence(steps=7)": textbook.confidence(7),
    "eb(gamma=0.5)": textbook.eb(0.5),
    "eb(gamma=3)": textbook.eb(3),
    "cb(tau=0.7)": textbook.cb(0.7),
    "cb(tau=0.3)": textbook.cb(0.3),
    "eb(gamma=4) | spaced(gap=4)": textbook.eb(4, gap=4),
    "cb(tau=0.2) | spaced(gap=6)": textbook.cb(0.2, gap=6),
}


def compare(model, prompt, planner, *, max_new_tokens, block_length, guidance=0.0):
    expected = textbook.decode(
        model,
        prompt,
        RULES[planner],
        max_new_tokens=max_new_tokens,
        block_length=block_length,
        guidance=guidance,
    )
    first = expected.given.index(False)
    got = dus.generate(
        model,
        [torch.tensor(prompt, dtype=torch.long)],
        planner=planner,
        max_new_tokens=max_new_tokens,
        block_length=block_length,
        cfg_scale=guidance,
        eos="ignore",
    )
    assert got.tokens[0].tolist() == expected.tokens[first:]
    assert got.trace.step[0].tolist() == expected.when[first:]
    assert got.nfe == [expected.calls]


@pytest.mark.parametrize("planner", RULES)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    sharpness=st.sampled_from([2.0, 8.0, 20.0]),
    prompt=st.lists(tokens, max_size=6),
    max_new_tokens=st.integers(1, 40),
    block_length=st.integers(1, 48),
)
def test_generation_equals_the_textbook_for_any_lengths(planner, seed, sharpness, prompt, max_new_tokens, block_length):
    model = hashed(seed, vocab_size=VOCABULARY, sharpness=sharpness)
    compare(model, prompt, planner, max_new_tokens=max_new_tokens, block_length=block_length)


@pytest.mark.parametrize("planner", RULES)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    prompt=st.lists(tokens | st.just(MASK), max_size=30),
    max_new_tokens=st.integers(0, 8),
    block_length=st.integers(1, 20),
)
def test_infilling_equals_the_textbook_wherever_the_masks_stand(planner, seed, prompt, max_new_tokens, block_length):
    if MASK not in prompt:
        prompt = [*prompt, MASK]
    model = hashed(seed, vocab_size=VOCABULARY)
    compare(model, prompt, planner, max_new_tokens=max_new_tokens, block_length=block_length)


@settings(deadline=None, max_examples=25)
@given(
    planner=st.sampled_from(sorted(RULES)),
    seed=st.integers(0, 2**31),
    prompt=st.lists(tokens | st.just(MASK), max_size=12),
    max_new_tokens=st.integers(1, 20),
    block_length=st.integers(1, 20),
    guidance=st.sampled_from([0.5, 1.5, 4.0]),
)
def test_guidance_equals_the_textbook_and_counts_two_calls_a_step(
    planner, seed, prompt, max_new_tokens, block_length, guidance
):
    model = hashed(seed, vocab_size=VOCABULARY, sharpness=3.0)
    compare(model, prompt, planner, max_new_tokens=max_new_tokens, block_length=block_length, guidance=guidance)


def test_a_reference_checkpoint_equals_the_textbook_on_unequal_blocks(golden):
    generator = torch.Generator().manual_seed(0)
    for planner in RULES:
        prompt = torch.randint(3, golden.vocab_size, (9,), generator=generator).tolist()
        prompt[5] = golden.mask_token_id
        compare(golden, prompt, planner, max_new_tokens=21, block_length=10)


def test_a_block_length_above_what_is_generated_is_clipped_to_it():
    model = hashed(3)
    prompt = [torch.tensor([4, 5])]
    clipped = dus.generate(model, prompt, max_new_tokens=16, block_length=1000, eos="ignore")
    whole = dus.generate(model, prompt, max_new_tokens=16, block_length=16, eos="ignore")
    assert clipped.tokens[0].tolist() == whole.tokens[0].tolist()
    assert clipped.nfe == whole.nfe == [4]
