"""The scheduler for diffusers, in the real pipelines, on random weights."""

import importlib
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import BlockRefinementScheduler, DiffusionGemmaPipeline, LLaDA2Pipeline

import dus
from dus.decoding import GenerationWarning
from dus.denoisers import load
from dus.integrations.diffusers import DUSScheduler
from dus.planners import PlannerError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
MASK, END, BLOCK = 250, 251, 8


@pytest.fixture(scope="module")
def denoiser():
    return load(GOLDEN / "llada2-random-a", dtype="float32", block_length=BLOCK)


class Model(torch.nn.Module):
    """What the pipeline calls, around a denoiser; the mask token is out of its reach, as BlockRefinement needs it."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.calls = denoiser, 0

    def forward(self, ids, attention_mask, position_ids):
        self.calls += 1
        logits = self.denoiser.logits(ids, read=torch.arange(ids.shape[1]))
        return SimpleNamespace(logits=logits.index_fill(-1, torch.tensor([MASK]), -1e9))


def run(denoiser, scheduler, prompt, model=None, **arguments):
    """The tokens of the pipeline, and how many calls they took."""
    pipeline = LLaDA2Pipeline(model=model or Model(denoiser), tokenizer=None, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    defaults = {"block_length": BLOCK, "editing_threshold": None, "eos_token_id": END, "mask_token_id": MASK}
    answer = pipeline(input_ids=prompt, output_type="seq", **{**defaults, **arguments})
    return answer.sequences.tolist(), getattr(pipeline.model, "calls", None)


PROMPTS = torch.arange(22).view(2, 11) * 7 % 240
"""Two prompts that end within a block of 8, of 11 tokens each; with 21 new ones the last block is whole."""


@pytest.mark.parametrize("tau", [0.004, 0.005, 0.95])
@pytest.mark.parametrize("editing", [None, 0.005])
def test_cb_gives_what_block_refinement_gives(denoiser, tau, editing):
    arguments = {"gen_length": 21, "num_inference_steps": 2 * BLOCK, "editing_threshold": editing}
    expected, calls = run(denoiser, BlockRefinementScheduler(), PROMPTS, threshold=tau, **arguments)
    found, fewer = run(denoiser, DUSScheduler(planner=f"cb(tau={tau})"), PROMPTS, **arguments)
    assert found == expected
    assert fewer <= calls


def test_a_sampled_text_is_the_same_under_one_seed(denoiser):
    arguments = {"gen_length": 16, "num_inference_steps": BLOCK, "temperature": 1.0}
    texts = [
        run(
            denoiser,
            scheduler,
            PROMPTS[:, :8],
            threshold=threshold,
            generator=torch.Generator().manual_seed(5),
            **arguments,
        )[0]
        for scheduler, threshold in ((BlockRefinementScheduler(), 1.0), (DUSScheduler(planner="cb(tau=1)"), 0.7))
    ]
    assert texts[0] == texts[1]


PLANNERS = [
    "dus",
    "dus(base=3)",
    "dus(order=entropy)",
    "dus | deferred(threshold=0.006)",
    "eb(gamma=20) | spaced(gap=4)",
    "confidence(steps=3)",
]
ALSO = [
    "klass",
    "wino",
    "cb(tau=0.005) | edited(threshold=0.005; rounds=2)",
    "random(steps=4)",
]


@pytest.mark.parametrize("planner", [*PLANNERS, *ALSO])
def test_a_planner_gives_what_generate_gives(denoiser, planner):
    scheduler = DUSScheduler(planner=planner, block_length=BLOCK)
    if planner.startswith("random"):  # which draws by the place in the text, of which a scheduler is not told
        prompts, length = PROMPTS[:1, :8], 8
    else:
        prompts, length = PROMPTS, 21
    found, calls = run(
        denoiser, scheduler, prompts, gen_length=length, num_inference_steps=scheduler.num_inference_steps
    )
    answers = dus.generate(denoiser, prompts, planner=planner, max_new_tokens=length)
    assert [row[: row.index(END)] if END in row else row for row in found] == [row.tolist() for row in answers.tokens]
    assert calls <= max(answers.nfe) + 2


def test_a_loaded_model_stands_in_the_pipeline_as_it_is(denoiser):
    arguments = {"gen_length": 21, "num_inference_steps": 3}
    expected, _ = run(denoiser, DUSScheduler(), PROMPTS, **arguments)
    assert run(denoiser, DUSScheduler(), PROMPTS, model=denoiser.model, **arguments)[0] == expected


def test_a_saved_pipeline_holds_the_scheduler(denoiser, tmp_path):
    scheduler = DUSScheduler(planner="eb(gamma=1)", block_length=8)
    LLaDA2Pipeline(model=denoiser.model, tokenizer=None, scheduler=scheduler).save_pretrained(tmp_path)
    again = DUSScheduler.from_pretrained(tmp_path, subfolder="scheduler")
    assert (again.config.planner, again.config.block_length) == ("eb(gamma=1)", 8)
    assert load(tmp_path / "model").block_length == BLOCK


def test_the_configuration_round_trips(tmp_path):
    scheduler = DUSScheduler(planner="eb(gamma=1)|spaced(gap=8)", block_length=16, editing_threshold=0.5)
    scheduler.save_config(tmp_path)
    again = DUSScheduler.from_pretrained(tmp_path)
    assert again.config.planner == "eb(gamma=1) | spaced(gap=8)" == str(again.planner)
    assert dict(again.config) == dict(scheduler.config)
    swapped = DUSScheduler.from_config(BlockRefinementScheduler(block_length=16, num_inference_steps=16).config)
    assert (swapped.config.planner, swapped.config.block_length) == ("dus", 16)
    assert swapped.num_inference_steps == dus.DUS().num_steps(16)


def test_samples_come_from_what_top_p_and_top_k_leave():
    logits = torch.randn(2, BLOCK, 40, generator=torch.Generator().manual_seed(1)) * 3
    likeliest = logits.topk(3, dim=-1).indices
    scheduler, sample = DUSScheduler(planner="cb(tau=0)", block_length=BLOCK), torch.full((2, BLOCK), MASK)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        arguments = {"temperature": 2.0, "top_k": 3, "mask_token_id": MASK, "generator": generator}
        found = scheduler.step(logits, 0, sample, **arguments).prev_sample
        assert (found[..., None] == likeliest).any(dim=-1).all()
        one = scheduler.step(logits, torch.tensor(0), sample, return_dict=False, **arguments | {"top_p": 1e-6})[0]
        assert torch.equal(one, likeliest[..., 0])


def test_a_prompt_within_the_block_is_never_replaced():
    logits, sample = torch.randn(1, BLOCK, 40) * 9, torch.full((1, BLOCK), MASK)
    sample[0, :5] = logits[0, :5].argmin(dim=-1)
    scheduler = DUSScheduler(planner="cb(tau=0)", block_length=BLOCK)
    prompt = torch.arange(BLOCK) < 4
    output = scheduler.step(logits, 0, sample, mask_token_id=MASK, editing_threshold=1e-3, prompt_mask=prompt)
    assert output.editing_transfer_index.tolist() == [[False] * 4 + [True] + [False] * 3]
    assert output.transfer_index.tolist() == [[False] * 5 + [True] * 3]
    assert output.prev_sample[0, :4].tolist() == sample[0, :4].tolist()


def test_a_threshold_beside_a_planner_is_warned_of(denoiser):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(denoiser, DUSScheduler(), PROMPTS, gen_length=21, num_inference_steps=3, threshold=0.7)
    with pytest.warns(GenerationWarning, match=r"threshold=0.9 has no effect beside the planner dus; cb"):
        run(denoiser, DUSScheduler(), PROMPTS, gen_length=21, num_inference_steps=3, threshold=0.9)


def test_what_does_not_fit_is_refused(denoiser):
    with pytest.raises(PlannerError, match="no planner is named 'dsu'"):
        DUSScheduler(planner="dsu")
    with pytest.raises(ValueError, match="takes 3 steps in a block of 8: num_inference_steps=3 would be right, not 4"):
        run(denoiser, DUSScheduler(), PROMPTS, gen_length=21, num_inference_steps=4)
    with pytest.raises(ValueError, match="edits by itself: editing_threshold=None would be right"):
        run(denoiser, DUSScheduler(planner="cb | edited"), PROMPTS, gen_length=21, editing_threshold=0.5)
    with pytest.raises(ValueError, match="minimal_topk=2"):
        run(denoiser, DUSScheduler(), PROMPTS, gen_length=21, num_inference_steps=3, minimal_topk=2)


@pytest.fixture
def gemma(tiny_gemma):
    """The pipeline over a random DiffusionGemma with a canvas of 16, and what stands on it after each step."""

    class Processor:
        tokenizer = SimpleNamespace(eos_token_id=None)

        def apply_chat_template(self, messages, **kwargs):
            return {"input_ids": torch.tensor([[5, 6, 7], [9, 8, 7]])}

    def run(scheduler, **arguments):
        pipeline = DiffusionGemmaPipeline(model=tiny_gemma, scheduler=scheduler, processor=None)
        pipeline.processor = Processor()
        pipeline.set_progress_bar_config(disable=True)
        seen = []

        def look(pipeline, step, timestep, tensors):
            seen.append(tensors["canvas"].clone())
            return {}

        generator = torch.Generator().manual_seed(3)
        settings = {"gen_length": 32, "output_type": "seq", "generator": generator, "confidence_threshold": None}
        answer = pipeline(prompt="any", callback_on_step_end=look, **settings, **arguments)
        return answer.sequences, seen

    return run


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=30) | spaced(gap=4)", "confidence(steps=5)", "cb(tau=0.012)"])
def test_without_a_mask_token_what_is_committed_stands_and_the_rest_is_drawn_anew(gemma, planner):
    scheduler = DUSScheduler(planner=planner, block_length=16)
    steps, committed = scheduler.num_inference_steps, []
    step = scheduler.step

    def watched(*args, **kwargs):
        output = step(*args, **kwargs)
        committed.append(output.transfer_index)
        return output

    scheduler.step = watched
    sequences, seen = gemma(scheduler, num_inference_steps=steps)
    assert len(seen) == 2 * steps
    for canvas in range(2):
        stands = torch.zeros(2, 16, dtype=torch.bool)
        for index in range(canvas * steps, (canvas + 1) * steps):
            assert not (committed[index] & stands).any()
            if index > canvas * steps:
                before, now = seen[index - 1], seen[index]
                assert torch.equal(before[stands], now[stands])
                fresh = ~stands & ~committed[index]
                assert fresh.sum() < 6 or (before[fresh] != now[fresh]).any()
            stands |= committed[index]
        assert stands.all()
        assert torch.equal(seen[(canvas + 1) * steps - 1], sequences[:, 16 * canvas : 16 * (canvas + 1)])


def test_the_last_step_takes_what_an_adaptive_planner_left(gemma):
    scheduler = DUSScheduler(planner="confidence(per_step=1) | spaced(gap=2)", block_length=16)
    gemma(scheduler, num_inference_steps=3)
    assert not any(scheduler._blocks.going)


def test_without_diffusers_it_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "dus.integrations.diffusers")
    with pytest.raises(ImportError, match=r"needs diffusers 0.42: pip install 'dus-lm\[diffusers\]'"):
        importlib.import_module("dus.integrations.diffusers")
