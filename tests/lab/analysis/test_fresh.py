import numpy as np
import pytest
import torch

import dus
from dus.denoisers import from_callable
from dus.lab.analysis.fresh import observed, traced
from dus.planners import Wrapper, registered

VOCAB, MASK, LENGTH = 6, 5, 12


def logits(canvas):
    """A table of logits by position and by how many masks are left: steps change what is predicted."""
    masks = (canvas == MASK).sum(dim=1)
    seed = torch.arange(canvas.shape[1]) * 7.1 + masks[:, None] * 3.3
    return torch.sin(seed[..., None] * torch.arange(1, VOCAB + 1)) * 2


MODEL = from_callable(logits, mask_token_id=MASK, vocab_size=VOCAB)
PROMPTS = [torch.tensor([0, 1]), torch.tensor([2])]
PLANNERS = {
    name: f"eb(gamma=4) | {name}" if issubclass(cls, Wrapper) else str(cls.example(6))
    for name, cls in registered().items()
} | {"spaced": "eb(gamma=4) | spaced(gap=3)", "deferred": "dus | deferred(threshold=0.4)"}


def entropy(canvas):
    """Bits at every position, the mask token never being predicted."""
    found = logits(canvas[None])[0]
    found[:, MASK] = -torch.inf
    chance = found.softmax(dim=-1)
    return -(chance * chance.clamp(min=1e-30).log2()).sum(dim=-1)


@pytest.mark.parametrize("name", PLANNERS)
def test_observing_changes_nothing_and_sees_every_mask(name):
    planner = PLANNERS[name]
    settings = {"max_new_tokens": LENGTH, "block_length": 6, "seed": 0, "eos": "ignore"}
    generation = dus.generate(MODEL, PROMPTS[:1], planner=planner, **settings)
    field = observed(MODEL, PROMPTS[:1], planner=planner, **settings)
    step = generation.trace.step[0].numpy()
    assert field.shape == (generation.nfe[0], LENGTH)
    written = np.arange(LENGTH)
    np.testing.assert_allclose(field[step, written], generation.trace.entropy[0], atol=1e-5)
    if not (dus.parse(planner).revises or dus.parse(planner).edits):
        for now, row in enumerate(field):
            block = np.flatnonzero(step == now)[0] // 6
            assert (~np.isnan(row) == ((step >= now) & (np.arange(LENGTH) // 6 == block))).all()


def test_the_observed_entropies_are_those_of_the_canvas():
    settings = {"max_new_tokens": 6, "block_length": 6, "eos": "ignore"}
    canvases = [torch.cat([PROMPTS[0], torch.full((6,), MASK)])]

    def watch(step):
        canvases.append(torch.cat([PROMPTS[0], step.tokens[0].clone()]))

    dus.generate(MODEL, PROMPTS[:1], planner="dus", progress=watch, **settings)
    field = observed(MODEL, PROMPTS[:1], planner="dus", **settings)
    for canvas, row in zip(canvases, field, strict=False):
        masked = (canvas == MASK)[2:].numpy()
        np.testing.assert_allclose(row[masked], entropy(canvas)[2:][masked], atol=1e-5)


def test_fresh_traces_are_those_of_generate():
    settings = {"max_new_tokens": 7, "eos": "ignore"}
    runs = list(
        traced(MODEL, PROMPTS, texts=["a", "b"], planners=["dus", "eb"], block_lengths=[4, 8], name="sin", **settings)
    )
    assert [(run.planner, run.block_length, run.model) for run in runs] == [
        (planner, length, "sin") for length in (4, 8) for planner in ("dus", "eb(gamma=0.1)")
    ]
    for run in runs:
        generation = dus.generate(MODEL, PROMPTS, planner=run.planner, block_length=run.block_length, **settings)
        for row, found in enumerate(run.answers):
            assert found.prompt == "ab"[row]
            assert found.step.tolist() == generation.trace.step[row].tolist()
            assert found.entropy == pytest.approx(generation.trace.entropy[row].numpy(), abs=1e-4)
            assert (found.calls, found.useful) == (generation.nfe[row], 7)
        assert run.answers[0].entropies is not None
        assert run.answers[1].entropies is None


def test_steps_of_a_block_begin_with_its_first_call():
    run = next(traced(MODEL, PROMPTS, texts=["a", "b"], planners=["dus"], block_lengths=[4], max_new_tokens=8))
    assert run.answers[0].step.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert run.answers[0].block_steps(4).tolist() == [0, 1, 0, 1] * 2
