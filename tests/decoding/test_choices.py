"""Which tokens may be written, and how confident they count."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus

from .standins import END, MASK, constant, hashed, scripted

PLANNERS = ["dus", "confidence(per_step=3)", "eb(gamma=1)", "saber", "remdm(steps=6)"]


@settings(deadline=None, max_examples=40)
@given(
    planner=st.sampled_from(PLANNERS),
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.0, 1.0, 30.0]),
    top_p=st.sampled_from([None, 0.5]),
    guidance=st.sampled_from([0.0, 2.0]),
    suppress=st.sets(st.integers(1, 12), max_size=11),
)
def test_neither_the_mask_nor_a_suppressed_token_is_ever_written(planner, seed, temperature, top_p, guidance, suppress):
    got = dus.generate(
        hashed(seed, vocab_size=13),
        torch.tensor([[3, 4], [5, 6]]),
        planner=planner,
        max_new_tokens=24,
        block_length=8,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        cfg_scale=guidance,
        suppress_tokens=sorted(suppress),
        eos="ignore",
    )
    assert not {MASK, *suppress} & set(torch.cat(got.tokens).tolist())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_mask_token_is_not_written_though_the_model_is_sure_of_it(temperature):
    model = constant([50.0, 0.0, 1.0, 0.0])
    got = dus.generate(model, torch.tensor([[2]]), max_new_tokens=16, block_length=16, temperature=temperature, seed=1)
    assert MASK not in got.tokens[0].tolist()
    kept = torch.tensor([0.0, 1.0, 0.0]).softmax(dim=0).tolist()
    assert got.trace.confidence[0].tolist() == pytest.approx([kept[token - 1] for token in got.tokens[0].tolist()])


def test_a_mask_token_behind_the_vocabulary_is_possible():
    """Some checkpoints' logits are narrower than their token ids."""
    model = constant([0.0, 3.0, 1.0])
    model.mask_token_id = 3
    got = dus.generate(model, [torch.tensor([1, 3, 2])], planner="saber", max_new_tokens=2, block_length=4)
    assert got.tokens[0].tolist() == [1, 2, 1, 1]


def test_a_suppressed_token_is_out_of_every_probability():
    got = dus.generate(
        constant([0.0, 5.0, 1.0, 0.0, 0.0]),
        torch.tensor([[2]]),
        max_new_tokens=1,
        block_length=1,
        suppress_tokens=[1],
    )
    shares = torch.tensor([1.0, 0.0, 0.0]).softmax(dim=0)
    assert got.tokens[0].tolist() == [2]
    assert got.trace.confidence[0].item() == pytest.approx(shares[0].item())
    assert got.trace.entropy[0].item() == pytest.approx(-(shares * shares.log2()).sum().item(), abs=1e-5)


def test_a_deferred_token_is_written_last_with_confidence_zero():
    script, certainty = [3, END, 4, 3], [3.0, 9.0, 4.0, 5.0]
    model = scripted(script, before=1, vocab_size=6, certainty=certainty)
    asked = {"planner": "confidence", "max_new_tokens": 4, "block_length": 4, "eos": "ignore"}
    free = dus.generate(model, torch.tensor([[2]]), **asked)
    deferred = dus.generate(model, torch.tensor([[2]]), defer_tokens=[END], **asked)
    assert free.tokens[0].tolist() == deferred.tokens[0].tolist() == script
    assert free.trace.step[0].tolist() == [3, 0, 2, 1]
    assert deferred.trace.step[0].tolist() == [2, 3, 1, 0]
    assert deferred.trace.confidence[0][1] == 0
    assert deferred.trace.entropy[0][1] == pytest.approx(math.log2(6))
    assert all(deferred.trace.confidence[0][[0, 2, 3]] == free.trace.confidence[0][[0, 2, 3]])


@pytest.mark.parametrize("planner", ["entropy", "margin", "eb(gamma=0.1)", "cb(tau=0.6)", "factor"])
def test_every_planner_that_reads_a_score_takes_a_deferred_token_last(planner):
    model = scripted([3, END, 4, 3], before=1, vocab_size=6, certainty=[2.0, 9.0, 2.1, 2.2])
    got = dus.generate(
        model,
        torch.tensor([[2]]),
        planner=planner,
        defer_tokens=[END],
        max_new_tokens=4,
        block_length=4,
        eos="ignore",
    )
    steps = got.trace.step[0].tolist()
    assert steps[1] == max(steps)
    assert steps.count(max(steps)) == 1


def test_a_scheduled_planner_writes_a_deferred_token_in_its_turn():
    model = scripted([END, 3, 4, 3], before=1, vocab_size=6)
    got = dus.generate(model, torch.tensor([[2]]), defer_tokens=[END], max_new_tokens=4, block_length=4, eos="ignore")
    assert got.tokens[0].tolist() == [END, 3, 4, 3]
    assert got.trace.step[0].tolist() == [0, 1, 0, 1]


def test_guidance_moves_away_from_what_is_said_without_the_prompt():
    """`u + (1 + s) (c - u)` in numbers: blind logits (0, 1, 0), seeing ones (0, 1, 0.8)."""
    from dus.denoisers import from_callable

    def fn(canvas):
        seeing = (canvas[:, :1] != MASK).float()
        third = 0.8 * seeing.expand(canvas.shape)
        return torch.stack([torch.zeros_like(third), torch.ones_like(third), third], dim=-1)

    model = from_callable(fn, mask_token_id=MASK, vocab_size=3)
    written = {}
    for scale in (0.0, 0.2, 0.3, 2.0):
        got = dus.generate(model, torch.tensor([[1]]), max_new_tokens=1, block_length=1, cfg_scale=scale)
        written[scale] = (got.tokens[0].item(), got.nfe[0])
        third = (1 + scale) * 0.8
        expected = torch.tensor([1.0, third]).softmax(dim=0).max().item()
        assert got.trace.confidence[0].item() == pytest.approx(expected, abs=1e-6)
    assert written == {0.0: (1, 1), 0.2: (1, 2), 0.3: (2, 2), 2.0: (2, 2)}


def test_tokens_that_the_model_rules_out_stay_ruled_out_under_guidance():
    model = constant([0.0, -torch.inf, 1.0, 0.5])
    got = dus.generate(model, torch.tensor([[2]]), max_new_tokens=4, block_length=4, cfg_scale=1.5)
    assert got.tokens[0].tolist() == [2] * 4


def test_nothing_that_is_returned_hangs_on_a_gradient():
    from dus.denoisers import from_callable

    layer = torch.nn.Embedding(8, 8)
    model = from_callable(layer.forward, mask_token_id=MASK, vocab_size=8)
    seen = []
    got = dus.generate(
        model,
        torch.tensor([[2]]),
        planner="saber",
        max_new_tokens=8,
        block_length=8,
        progress=lambda step: seen.append(torch.is_grad_enabled()),
    )
    assert not any(tensor.requires_grad for tensor in (*got.trace.confidence, *got.trace.entropy))
    assert all(seen), "the caller's own gradient mode is left alone between the steps"
