"""DiffusionGemma's own `generate` with our sampler, on random weights."""

import math

import pytest
import torch
from transformers import DiffusionGemmaGenerationConfig
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    EntropyBoundSampler,
    EntropyBoundSamplerConfig,
)

from dus.integrations.diffusion_gemma import PlannedSampler, planned
from dus.planners import PlannerError, parse

PROMPTS = torch.tensor([[5, 6, 7], [9, 8, 7]])


def settings(bound=1.0, steps=12, **others):
    sampler = EntropyBoundSamplerConfig(entropy_bound=bound)
    times = {"max_new_tokens": 32, "max_denoising_steps": steps, "t_min": 0.4, "t_max": 0.8}
    return DiffusionGemmaGenerationConfig(sampler_config=sampler, **times, **others)


def generate(model, config):
    torch.manual_seed(7)
    return model.generate(PROMPTS, generation_config=config).sequences.tolist()


@pytest.mark.parametrize("bound", [0.1, 8.0, 20.0, 100.0])
def test_eb_gives_what_the_original_gives(tiny_gemma, bound):
    config = settings(bound)
    expected = generate(tiny_gemma, config)
    with planned(tiny_gemma, f"eb(gamma={bound / math.log(2)})"):
        assert generate(tiny_gemma, config) == expected
    assert "_prepare_sampler" not in vars(tiny_gemma)
    assert generate(tiny_gemma, config) == expected


def logits_of(steps, rows, length, seed):
    """Logits that get surer from step to step, and not of the same positions first."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(rows, length, 97, generator=generator)
    sure = torch.rand(rows, length, 1, generator=generator)
    return [
        base * (1 + 12 * sure * step / steps) + torch.randn(base.shape, generator=generator) for step in range(steps)
    ]


def sampled(planner, steps=60, length=32, seed=0):
    """What a planner accepts anew at each step, and what stands in the end."""
    original = EntropyBoundSampler(EntropyBoundSamplerConfig(1.0), length, 97, steps)
    sampler = PlannedSampler(parse(planner), original)
    canvas, stands, news = sampler.initialize_canvas(2, torch.device("cpu")), torch.zeros(2, length, dtype=bool), []
    for logits in logits_of(steps, 2, length, seed):
        accepted = sampler.accept_canvas(canvas, logits.argmax(dim=-1), logits, None)
        mask = sampler.accepted_token_mask
        assert torch.equal(accepted[mask & ~stands], logits.argmax(dim=-1)[mask & ~stands])
        canvas = sampler.renoise_canvas(accepted, None)
        assert torch.equal(canvas[mask], accepted[mask])
        news.append(mask & ~stands)
        stands = mask
    return news, stands


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gap", [2, 4, 8])
def test_what_is_accepted_in_one_step_is_apart_and_it_ends(gap, seed):
    news, stands = sampled(f"eb(gamma=400) | spaced(gap={gap})", seed=seed)
    taken = torch.zeros_like(stands, dtype=torch.long)
    for new in news:
        for row in range(2):
            left = 32 - int(taken[row].sum())
            at = new[row].nonzero()[:, 0]
            assert (at.diff() >= max(2, left * gap // 32)).all()
        taken += new
    assert stands.all()
    assert any(new.sum() > 2 for new in news)


@pytest.mark.parametrize("planner", ["dus", "confidence(steps=6)", "cb(tau=0.5)", "dus | deferred(threshold=0.1)"])
def test_under_other_planners_what_is_accepted_stands(tiny_gemma, planner):
    news, stands = sampled(planner)
    assert torch.stack(news).sum(dim=0).max() == 1
    assert stands.all()
    if steps := parse(planner).num_steps(32):
        assert torch.stack(news)[steps:].sum() == 0
    with planned(tiny_gemma, planner):
        assert torch.tensor(generate(tiny_gemma, settings())).shape == (2, 3 + 32)


def test_what_cannot_be_hosted_is_refused(tiny_gemma):
    with pytest.raises(PlannerError, match="no planner is named 'dsu'"), planned(tiny_gemma, "dsu"):
        pass
    for planner in ("wino", "cb | edited"):
        with planned(tiny_gemma, planner), pytest.raises(PlannerError, match="can't edit or revise"):
            generate(tiny_gemma, settings())
    with planned(tiny_gemma, "dus"), pytest.raises(PlannerError, match="dus takes 4 steps on a canvas"):
        generate(tiny_gemma, settings(steps=3))
    with planned(tiny_gemma, "dus"), pytest.raises(PlannerError, match="disable_compile=True would be right"):
        generate(tiny_gemma, settings(cache_implementation="static"))
