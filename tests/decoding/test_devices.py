"""On a device without float64, such as an Apple GPU, every planner gives what it gives elsewhere."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.planners import registered
from dus.planners.base import Wrapper

from .standins import MASK, constant, hashed, same

CASES = [cls.example(8) for cls in registered().values() if not issubclass(cls, Wrapper)]
CASES += [dus.Spaced(dus.ConfidenceBounded(0.3), 4), dus.Deferred(dus.DUS(), 0.5)]


@pytest.mark.parametrize("planner", CASES, ids=str)
@pytest.mark.parametrize(
    "how", [{}, {"temperature": 1.0, "seed": 1, "top_p": 0.9, "top_k": 5}, {"block_length": "auto(longest=8)"}]
)
def test_a_planner_needs_no_float64(without_float64, planner, how):
    asked = {"planner": planner, "max_new_tokens": 16, "block_length": 8, "eos": "ignore", **how}
    model = hashed(4)
    assert same(*(dus.generate(where, [[3, 4], [5]], **asked) for where in (without_float64(model), model)))


def test_such_a_device_is_one(without_float64):
    logits = without_float64(hashed()).logits(torch.tensor([[3, MASK]]), read=(torch.tensor([0]), torch.tensor([1])))
    for call in (
        logits.double,
        lambda: logits.to(torch.float64),
        lambda: torch.zeros_like(logits, dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="no float64"):
            call()
    assert logits.cpu().double().dtype == torch.float64


@settings(deadline=None, max_examples=30)
@given(
    scale=st.floats(0.1, 10), seen=st.integers(-20, 20), planner=st.sampled_from(["dus", "confidence", "eb(gamma=1)"])
)
def test_what_only_the_blind_pass_rules_out_is_left_to_the_other_one(scale, seen, planner):
    plain = constant([0.0, 0.0, seen, 1.0])

    def fn(canvas):
        logits = plain.fn(canvas).clone()
        logits[canvas[:, 0] == MASK, :, 2] = -torch.inf
        return logits

    model = dus.denoisers.from_callable(fn, mask_token_id=MASK, vocab_size=4)
    got = dus.generate(model, [[3]], planner=planner, cfg_scale=scale, max_new_tokens=8, block_length=4, eos="ignore")
    assert set(got.tokens[0].tolist()) == {2 if seen >= 1 else 3}
    assert got.trace.confidence[0].isfinite().all()
