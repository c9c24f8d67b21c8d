"""A row's result does not depend on the rows beside it."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.planners import Wrapper, registered

from .standins import MASK, hashed, rows, same

PLANNERS = [
    f"eb(gamma=2) | {name}" if issubclass(cls, Wrapper) else str(cls.example(8)) for name, cls in registered().items()
]
VARIANTS = [
    "dus(order=random)",
    "dus(order=entropy)",
    "dus(order=entropy; groups=residues; by=mean)",
    "dus(order=fine-to-coarse; base=3)",
    "dus | deferred(threshold=0.4)",
    "confidence(like=dus)",
    "entropy(steps=3)",
    "random(per_step=3; seed=4)",
    "cb(tau=0.3) | spaced(gap=4)",
    "saber(n=3) | spaced(gap=2)",
    "remdm(steps=5; seed=1)",
]
DRAWN = ("random", "remdm")  # what these do depends on a row's index
PROMPTS = [[5, 3, 7, 2, 9, 4, 6], [8], [2, 2, 3], [4, MASK, 6, MASK, 2], [9, 9, 2, 3, 4, 5]]
SETTINGS = {
    "greedily": {},
    "at a temperature": {"temperature": 0.8, "seed": 6, "top_p": 0.95, "top_k": 9},
    "under guidance": {"temperature": 1.0, "seed": 7, "samples": 2, "cfg_scale": 0.5},
}


def generate(model, prompts, **kwargs):
    kwargs = {"max_new_tokens": 11, "block_length": 8, **kwargs}
    return dus.generate(model, [torch.as_tensor(prompt) for prompt in prompts], **kwargs)


@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.parametrize("planner", PLANNERS + VARIANTS)
def test_the_size_of_the_batches_changes_nothing(planner, how):
    model = hashed(1, sharpness=4.0)
    together = generate(model, PROMPTS, planner=planner, **SETTINGS[how])
    for batch_size in (1, 3):
        assert same(together, generate(model, PROMPTS, planner=planner, batch_size=batch_size, **SETTINGS[how]))


@pytest.mark.parametrize("planner", [text for text in PLANNERS + VARIANTS if not any(name in text for name in DRAWN)])
def test_a_row_alone_is_the_row_in_a_padded_batch(planner):
    guidance = len(planner) % 2 * 0.5  # some this way, some that way
    model = hashed(2, sharpness=4.0)
    together = generate(model, PROMPTS, planner=planner, cfg_scale=guidance)
    for number, prompt in enumerate(PROMPTS):
        alone = generate(model, [prompt], planner=planner, cfg_scale=guidance)
        assert rows(together, number) == rows(alone, 0)


@pytest.mark.parametrize(
    ("planner", "how"),
    [
        *((planner, "greedily") for planner in PLANNERS),
        *(("saber", how) for how in SETTINGS),
        ("dus", "under guidance"),
    ],
)
def test_a_reference_checkpoint_gives_padded_rows_what_it_gives_them_alone(golden, planner, how):
    generator = torch.Generator().manual_seed(3)
    lengths = (3, 17, 9, 1)
    prompts = [torch.randint(3, golden.vocab_size, (length,), generator=generator).tolist() for length in lengths]
    asked = {"planner": planner, "max_new_tokens": 14, "block_length": 8, "eos": "ignore", **SETTINGS[how]}
    together = generate(golden, prompts, **asked)
    assert same(together, generate(golden, prompts, batch_size=1, **asked))


@settings(deadline=None, max_examples=40)
@given(
    planner=st.sampled_from([text for text in PLANNERS + VARIANTS if not text.startswith("levels")]),
    prompts=st.lists(st.lists(st.integers(0, 12), max_size=9), min_size=1, max_size=6),
    max_new_tokens=st.integers(1, 17),
    block_length=st.integers(1, 20) | st.sampled_from(["auto(bits=2)", "auto(bits=9, shortest=1, longest=16)"]),
    batch_size=st.integers(1, 5),
    temperature=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 1000),
)
def test_random_rows_in_random_batches(planner, prompts, max_new_tokens, block_length, batch_size, temperature, seed):
    model = hashed(seed, sharpness=5.0)
    asked = {
        "planner": planner,
        "max_new_tokens": max_new_tokens,
        "block_length": block_length,
        "temperature": temperature,
        "seed": seed,
    }
    prompts = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    assert same(generate(model, prompts, **asked), generate(model, prompts, batch_size=batch_size, **asked))


def test_the_order_of_the_prompts_is_the_order_of_the_answers():
    model = hashed(4)
    alone = [rows(generate(model, [prompt]), 0) for prompt in PROMPTS[:4]]
    for order in permutations(range(4)):
        got = generate(model, [PROMPTS[number] for number in order], batch_size=3)
        assert [rows(got, place) for place in range(4)] == [alone[number] for number in order]


def test_samples_of_a_prompt_stand_together_and_differ_at_a_temperature():
    model = hashed(5, sharpness=2.0)
    three = generate(model, PROMPTS[:2], samples=3, temperature=1.0, seed=1, eos="ignore")
    assert len(three.tokens) == len(three.nfe) == len(three.trace.step) == 6
    assert len({tuple(tokens.tolist()) for tokens in three.tokens}) == 6
    greedy = generate(model, PROMPTS[:2], samples=3, eos="ignore")
    expected = generate(model, PROMPTS[:2], eos="ignore")
    assert rows(greedy, 0, 1, 2, 3, 4, 5) == rows(expected, 0, 0, 0, 1, 1, 1)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_of_a_row_do_not_depend_on_the_batch(temperature):
    model = hashed(6, sharpness=4.0)
    for planner in ("dus", "eb(gamma=2)", "saber"):
        asked = {"planner": planner, "temperature": temperature, "seed": 2}
        together, apart = generate(model, PROMPTS, **asked), generate(model, PROMPTS, batch_size=1, **asked)
        for field in ("confidence", "entropy"):
            for one, other in zip(getattr(together.trace, field), getattr(apart.trace, field), strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
