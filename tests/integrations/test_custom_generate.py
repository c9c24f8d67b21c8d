"""transformers' own `generate`, with the hook."""

from pathlib import Path

import pytest
import torch

import dus
from dus.decoding import GenerationError
from dus.integrations.custom_generate import custom_generate
from dus.planners import PlannerError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
PROMPTS = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])


@pytest.mark.parametrize("name", ["llada-random-a", "dream-random-a", "llada2-random-a", "a2d-qwen3-random-a"])
@pytest.mark.parametrize("planner", ["dus", "eb(gamma=20) | spaced(gap=4)"])
def test_it_gives_what_generate_gives(name, planner):
    denoiser = dus.load(GOLDEN / name, dtype="float32")
    length = None if denoiser.block_length else 8
    settings = {"planner": planner, "max_new_tokens": 16, "block_length": length}
    found = denoiser.model.generate(PROMPTS, custom_generate=custom_generate, **settings)
    expected = dus.generate(denoiser, PROMPTS, **settings)
    assert found.shape == (2, 20)
    assert torch.equal(found[:, :4], PROMPTS)
    for row, answer in zip(found[:, 4:].tolist(), expected.tokens, strict=True):
        assert row[: len(answer)] == answer.tolist()
        assert len(answer) == 16 or row[len(answer)] in denoiser.eos_token_ids


def test_sampling_and_padding_are_followed():
    denoiser = dus.load(GOLDEN / "llada-random-a", dtype="float32")
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    settings = {"planner": "dus", "max_new_tokens": 16, "block_length": 8, "seed": 3}
    sampling = {"attention_mask": mask, "temperature": 0.8, "top_k": 20, **settings}
    found = denoiser.model.generate(PROMPTS, do_sample=True, custom_generate=custom_generate, **sampling)
    expected = dus.generate(denoiser, PROMPTS, **sampling)
    for row, answer in zip(found[:, 4:].tolist(), expected.tokens, strict=True):
        assert row[: len(answer)] == answer.tolist()


def test_what_it_cannot_follow_is_refused():
    model = dus.load(GOLDEN / "llada-random-a", dtype="float32").model
    with pytest.raises(PlannerError, match="no planner is named 'dsu'"):
        model.generate(PROMPTS, custom_generate=custom_generate, planner="dsu", max_new_tokens=8)
    with pytest.raises(GenerationError, match="RepetitionPenaltyLogitsProcessor is for decoding from left to right"):
        model.generate(PROMPTS, custom_generate=custom_generate, repetition_penalty=1.5, max_new_tokens=8)
    with pytest.raises(GenerationError, match="num_beams is 2"):
        model.generate(PROMPTS, custom_generate=custom_generate, num_beams=2, max_new_tokens=8)
