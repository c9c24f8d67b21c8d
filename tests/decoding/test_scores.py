"""What a step says of its tokens: their confidence and entropy, and which of these are computed at all."""

import math
from dataclasses import dataclass

import pytest
import torch

import dus
from dus.decoding.sampling import Choice
from dus.planners import Planner

from .standins import MASK, Recorder, constant, hashed

SCORES = ("confidence", "entropy", "margin", "probability_of")
PROMPT = [torch.tensor([3, 4, 5])]


@pytest.fixture
def computed(monkeypatch):
    """The scores that are computed, by name, in order."""
    names = []

    def watched(name, compute):
        def compute_and_note(self, *args):
            names.append(name)
            return compute(self, *args)

        return compute_and_note

    for name in SCORES[:3]:
        attribute = Choice.__dict__[name]
        monkeypatch.setattr(attribute, "func", watched(name, attribute.func))
    monkeypatch.setattr(Choice, "probability_of", watched("probability_of", Choice.probability_of))
    return names


def decode(planner, **kwargs):
    kwargs = {"max_new_tokens": 8, "block_length": 8, "eos": "ignore", **kwargs}
    return dus.generate(hashed(1), PROMPT, planner=planner, **kwargs)


def test_a_schedule_without_scores_computes_none(computed):
    decode("dus", scores=False)
    assert computed == []


def test_a_schedule_with_scores_computes_what_the_trace_keeps(computed):
    decode("dus")
    assert set(computed) == {"confidence", "entropy", "probability_of"}


@pytest.mark.parametrize(
    ("planner", "unread"),
    [
        ("confidence", {"entropy", "margin"}),
        ("cb(tau=0.5)", {"entropy", "margin"}),
        ("entropy", {"margin"}),
        ("eb(gamma=1)", {"margin"}),
        ("margin", {"entropy"}),
        ("saber", {"entropy", "margin"}),
    ],
)
def test_no_score_is_computed_that_the_planner_does_not_read(computed, planner, unread):
    decode(planner, scores=False)
    assert computed
    assert not set(computed) & unread


@pytest.mark.parametrize("planner", ["eb(gamma=1)", "saber", "margin", "confidence"])
def test_a_score_is_computed_once_a_step(computed, planner):
    got = decode(planner)
    for name in SCORES[:3]:
        assert computed.count(name) in (0, got.nfe[0])


@pytest.mark.parametrize("planner", ["dus", "confidence", "eb(gamma=1)", "saber", "dus | deferred(threshold=0.5)"])
def test_scores_change_nothing_but_the_trace(planner):
    with_scores, without = decode(planner), decode(planner, scores=False)
    assert with_scores.tokens[0].tolist() == without.tokens[0].tolist()
    assert with_scores.nfe == without.nfe
    assert with_scores.trace.step[0].tolist() == without.trace.step[0].tolist()


def test_without_scores_the_trace_holds_none():
    trace = decode("dus", scores=False).trace
    assert trace.confidence == trace.entropy == []


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("planner", ["dus", "cb(tau=0.4)"])
def test_the_trace_holds_the_untempered_probability_and_the_entropy_of_the_step_that_wrote(planner, temperature):
    model, width = Recorder(hashed(2, sharpness=4.0)), 13
    got = dus.generate(
        model, PROMPT, planner=planner, max_new_tokens=8, block_length=8, temperature=temperature, seed=1, eos="ignore"
    )
    for place, (token, step) in enumerate(zip(got.tokens[0].tolist(), got.trace.step[0].tolist(), strict=True)):
        canvas = model.calls[step].canvas
        logits = model.inner.logits(canvas, read=torch.tensor([3 + place]))[0, 0].double()
        logits[MASK] = -torch.inf
        shares = logits.softmax(dim=0).tolist()
        entropy = -sum(share * math.log2(share) for share in shares if share)
        assert len(shares) == width
        assert got.trace.confidence[0][place].item() == pytest.approx(shares[token], abs=1e-5)
        assert got.trace.entropy[0][place].item() == pytest.approx(entropy, abs=1e-4)


def test_given_positions_have_no_step_and_no_scores():
    row = torch.tensor([4, MASK, 5, MASK])
    trace = dus.generate(hashed(3), [row], max_new_tokens=0, block_length=4).trace
    assert trace.step[0].tolist()[1] == -1
    assert trace.confidence[0][1] == trace.entropy[0][1] == 0
    assert all(trace.confidence[0][[0, 2]] > 0)


def test_a_position_taken_back_keeps_the_scores_of_the_step_that_wrote_it_for_good():
    model = Recorder(hashed(4, sharpness=3.0))
    got = dus.generate(model, PROMPT, planner="saber(n=4)", max_new_tokens=16, block_length=16, eos="ignore")
    steps = got.trace.step[0]
    assert len(model.calls) == got.nfe[0]
    for place, step in enumerate(steps.tolist()):
        canvas = model.calls[step].canvas[0]
        assert canvas[3 + place] == MASK
        logits = model.inner.logits(canvas[None], read=torch.tensor([3 + place]))[0, 0]
        logits[MASK] = -torch.inf
        expected = logits.softmax(dim=0)[got.tokens[0][place]]
        assert got.trace.confidence[0][place].item() == pytest.approx(expected.item(), abs=1e-5)
        assert all(call.canvas[0][3 + place] == got.tokens[0][place] for call in model.calls[step + 1 :])


@dataclass(frozen=True)
class Watching(Planner):
    """One position a step, and everything that it could read is kept in `seen`."""

    seen: list

    def wanted(self, block):
        return block.initially_masked

    def select(self, block, prediction):
        read = {name: getattr(prediction, name) for name in ("confidence", "entropy", "margin", "token_confidence")}
        self.seen.append((block, read))
        return block.masked & (block.masked.cumsum(dim=1) == 1)


def test_a_planner_sees_each_score_at_its_place_and_zero_where_nothing_is_wanted():
    seen = []
    logits = torch.tensor([-9.0, 0.0, 2.0, 1.0])
    row = torch.tensor([2, MASK, 3, MASK, MASK])
    dus.generate(
        constant(logits), [row], planner=Watching(seen), max_new_tokens=0, block_length=4, eos="ignore", temperature=0
    )
    probability = logits[1:].double().softmax(dim=0)
    entropy = -(probability * probability.log2()).sum().item()
    first, second, _ = sorted(probability.tolist(), reverse=True)
    expected = {"confidence": first, "entropy": entropy, "margin": first - second}
    assert len(seen) == 3
    for number, (block, read) in enumerate(seen):
        assert block.step.tolist() == [number]
        assert block.masked.sum() == 3 - number
        assert block.given.tolist() == [[False, True, False, False]]
        for name, value in expected.items():
            assert read[name].tolist()[0] == pytest.approx([value, 0, value, value], abs=1e-6)
        standing = [first if gone else 0 for gone in (~block.masked[0]).tolist()]
        standing[1] = 0
        assert read["token_confidence"].tolist()[0] == pytest.approx(standing, abs=1e-6)
        then = [first if step >= 0 else 0 for step in block.unmasked_at[0].tolist()]
        assert block.confidence_then.tolist()[0] == pytest.approx(then, abs=1e-6)
