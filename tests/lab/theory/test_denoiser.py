from itertools import product

import numpy as np
import pytest
import torch

import dus
from dus.denoisers import Denoiser
from dus.lab.theory import MarkovDenoiser, TheoryError, markov, random_markov, sampled_law


def by_hand(joint, canvas, place):
    """The law at a place given all other revealed tokens, from the joint table."""
    index = tuple(
        slice(None) if axis == place or token == joint.shape[0] else token for axis, token in enumerate(canvas)
    )
    rest = joint[index]
    kept = sum(1 for axis, token in enumerate(canvas) if axis < place and token == joint.shape[0])
    law = rest.sum(axis=tuple(axis for axis in range(rest.ndim) if axis != kept))
    return law / law.sum()


def test_marginals_equal_the_joint_tables(source, joint):
    model, table, length = MarkovDenoiser(source), joint(source, 5), 5
    assert isinstance(model, Denoiser)
    canvases = list(product(range(source.vocab + 1), repeat=length))
    canvases = canvases[:: max(1, len(canvases) // 200)]
    logits = model.logits(torch.tensor(canvases), read=torch.arange(length))
    assert logits.shape == (len(canvases), length, source.vocab + 1)
    assert (logits[..., -1] == -torch.inf).all()
    for row, canvas in enumerate(canvases):
        for place in range(length):
            expected = by_hand(table, canvas, place)
            assert logits[row, place, :-1].exp().numpy() == pytest.approx(expected, abs=1e-10)


def test_read_and_padding(source):
    model, mask = MarkovDenoiser(source), source.vocab
    canvas = torch.tensor([[0, mask, 1, mask], [mask, mask, 1, 0]])
    whole = model.logits(canvas, read=torch.arange(4))
    rows = model.logits(canvas, read=torch.tensor([[3, 1], [0, 0]]))
    assert torch.equal(rows[0], whole[0, [3, 1]])
    assert torch.equal(rows[1], whole[1, [0, 0]])
    padded = torch.cat([torch.ones(2, 3, dtype=torch.long), canvas], dim=1)
    attention = torch.cat([torch.zeros(2, 3), torch.ones(2, 4)], dim=1)
    assert torch.allclose(model.logits(padded, read=torch.arange(3, 7), attention_mask=attention), whole)


def test_long_canvases_do_not_underflow():
    source = random_markov(4, 1, 0.9)
    canvas = torch.from_numpy(source.sample(2, 5000)).clone()
    canvas[:, 2500] = 4
    law = MarkovDenoiser(source).logits(canvas, read=torch.tensor([2500])).exp()
    assert torch.allclose(law.sum(dim=-1), torch.ones(2, 1, dtype=torch.float64))


def test_contradictions_are_no_dead_end():
    never_twice = markov([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    law = MarkovDenoiser(never_twice).logits(torch.tensor([[0, 0, 3, 3]]), read=torch.tensor([2, 3])).exp()
    assert law[0, 0].tolist() == pytest.approx([0, 0.5, 0.5, 0])
    assert torch.isfinite(law).all()


@pytest.mark.parametrize("source", ["first order", "hidden"], indirect=True)
def test_the_loop_samples_the_law_that_enumeration_finds(source):
    for planner in ("dus", "confidence(steps=2)", "eb(gamma=1)"):
        rows, length = 4000, 4
        prompts = torch.full((1, length), source.vocab)
        done = dus.generate(
            MarkovDenoiser(source),
            prompts,
            planner=planner,
            max_new_tokens=0,
            block_length=length,
            temperature=1.0,
            seed=3,
            samples=rows,
            scores=False,
        )
        code = np.array([tokens.tolist() for tokens in done.tokens]) @ source.vocab ** np.arange(length)[::-1]
        seen = np.bincount(code, minlength=source.vocab**length) / rows
        law, calls = sampled_law(source, planner, length)
        assert (np.abs(seen - law) < 5 * np.sqrt(law / rows) + 1e-3).all(), planner
        assert np.mean(done.nfe) == pytest.approx(calls, abs=0.1)


def test_bad_input(source):
    model = MarkovDenoiser(source)
    with pytest.raises(TheoryError, match="knows 0 to"):
        model.logits(torch.tensor([[source.vocab + 1]]), read=torch.tensor([0]))
    with pytest.raises(TheoryError, match="keeps no cache"):
        model.logits(torch.tensor([[0]]), read=torch.tensor([0]), cache=object())
