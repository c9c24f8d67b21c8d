"""The algorithm in the real SGLang, which `make test-sglang` installs; only the model's forward is a stand-in."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import dus
from dus.denoisers import load
from dus.planners import PlannerError

pytest.importorskip("sglang", reason="make test-sglang tests with SGLang")

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
MASK, END, BLOCK = 250, 251, 8
PROMPTS = [[5, 17, 99, 3, 41, 7, 12, 200, 13, 14, 60], [9] * 8, [1, 2], list(range(30, 50))]
PLANNERS = [
    "dus",
    "dus(base=3)",
    "dus(order=entropy)",
    "dus | deferred(threshold=0.006)",
    "eb(gamma=20)",
    "eb(gamma=20) | spaced(gap=4)",
    "confidence(steps=3)",
    "klass",
    "wino",
    "cb(tau=0.005) | edited(threshold=0.005; rounds=2)",
]


@pytest.fixture(scope="module")
def denoiser():
    return load(GOLDEN / "llada2-random-a", dtype="float32", block_length=BLOCK)


@pytest.fixture(scope="module")
def algorithms():
    """SGLang's table, after it has loaded its plugins as its servers do."""
    from sglang.srt.plugins import load_plugins

    load_plugins()
    assert "sglang.srt.dllm.algorithm" not in sys.modules
    from sglang.srt.dllm import algorithm

    return algorithm


class Runner:
    """A model runner without pages: it computes the whole text of each request, and gives the last block's logits."""

    def __init__(self, denoiser):
        self.denoiser, self.texts, self.forwards = denoiser, [], 0

    def forward(self, batch, pp_proxy_tensors=None):
        self.forwards += 1
        logits = []
        for text, block in zip(self.texts, batch.input_ids.view(-1, BLOCK), strict=True):
            canvas = torch.cat([torch.tensor(text, dtype=torch.long), block])[None]
            logits.append(self.denoiser.logits(canvas, read=torch.arange(len(text), len(text) + BLOCK))[0])
        full = torch.cat(logits).index_fill(-1, torch.tensor([MASK]), -1e9)
        return SimpleNamespace(logits_output=SimpleNamespace(full_logits=full), can_run_graph=False)


def built(algorithms, name, fdfo, **config):
    from sglang.srt.dllm.config import DllmConfig

    return algorithms.get_algorithm(DllmConfig(name, config, BLOCK, MASK, 4, first_done_first_out_mode=fdfo))


def serve(algorithm, denoiser, prompts, blocks):
    """What a scheduler of SGLang's does with requests, each for so many blocks; requests come and go in FDFO mode."""
    runner = Runner(denoiser)
    rows = [{"done": [], "block": None, "state": None, "prompt": prompt} for prompt in prompts]

    def going():
        return [row for row in rows if len(row["done"]) < (len(row["prompt"]) // BLOCK + blocks) * BLOCK]

    while running := going():
        if algorithm.fdfo:
            running = running[runner.forwards % 2 :][:3] or running
        for row in running:
            given = row["prompt"][len(row["done"]) :][:BLOCK]
            row["block"] = row["block"] or given + [MASK] * (BLOCK - len(given))
        ids = torch.tensor([row["block"] for row in running]).view(-1)
        starts = torch.tensor([len(row["done"]) for row in running])
        positions = (starts[:, None] + torch.arange(BLOCK)).view(-1).int()
        batch = SimpleNamespace(batch_size=len(running), input_ids=ids, positions=positions, dllm_prompt_mask=None)
        runner.texts = [row["done"] for row in running]
        states = [row["state"] for row in running] if algorithm.fdfo else None
        _, tokens, accepted, states, _ = algorithm.run(runner, batch, states)
        assert batch.input_ids.data_ptr() == ids.data_ptr()
        for number, (row, block) in enumerate(zip(running, ids.view(-1, BLOCK).tolist(), strict=True)):
            if algorithm.fdfo and not accepted[number]:
                row["block"], row["state"] = block, states[number]
                assert tokens[number] == block
            else:
                row["done"], row["block"], row["state"] = row["done"] + block, None, None
    return [row["done"][len(row["prompt"]) :] for row in rows], runner.forwards


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("fdfo", [False, True])
def test_a_planner_gives_what_generate_gives(algorithms, denoiser, planner, fdfo):
    found, _ = serve(built(algorithms, "DUS", fdfo, planner=planner), denoiser, PROMPTS, blocks=2)
    for prompt, tokens in zip(PROMPTS, found, strict=True):
        assert len(tokens) == 2 * BLOCK - len(prompt) % BLOCK
        answer = dus.generate(denoiser, [prompt], planner=planner, max_new_tokens=len(tokens), eos="ignore")
        assert tokens == answer.tokens[0].tolist()


@pytest.mark.parametrize("tau", [0.004, 0.005, 0.95])
@pytest.mark.parametrize("fdfo", [False, True])
def test_cb_gives_what_low_confidence_gives(algorithms, denoiser, tau, fdfo):
    expected = serve(built(algorithms, "LowConfidence", fdfo, threshold=tau), denoiser, PROMPTS, blocks=2)
    assert serve(built(algorithms, "DUS", fdfo, planner=f"cb(tau={tau})"), denoiser, PROMPTS, blocks=2) == expected


def test_a_schedule_takes_its_steps_and_one_call_that_keeps_the_last_tokens(algorithms, denoiser):
    algorithm = built(algorithms, "DUS", False)
    assert algorithm.max_steps(BLOCK) == dus.DUS().num_steps(BLOCK) + 1
    assert serve(algorithm, denoiser, [[9] * 8], blocks=2)[1] == 1 + 2 * (dus.DUS().num_steps(BLOCK) + 1)


def test_a_mask_token_in_the_prompt_is_no_mask(algorithms, denoiser):
    algorithm, runner = built(algorithms, "DUS", False), Runner(denoiser)
    ids = torch.tensor([5, MASK, 6] + [MASK] * 5)
    given = torch.arange(BLOCK)[None] < 3
    batch = SimpleNamespace(batch_size=1, input_ids=ids, positions=torch.arange(BLOCK), dllm_prompt_mask=given)
    runner.texts = [[]]
    algorithm.run(runner, batch)
    assert ids[:3].tolist() == [5, MASK, 6]
    assert (ids[3:] != MASK).all()


def test_what_cannot_be_hosted_is_refused(algorithms):
    with pytest.raises(PlannerError, match="no planner is named 'dsu'"):
        built(algorithms, "DUS", True, planner="dsu")
    with pytest.raises(PlannerError, match="levels"):
        built(algorithms, "DUS", True, planner="levels(groups='0 1/2 3')")
    with pytest.raises(ValueError, match="reads `planner` and `block_size`, not threshold"):
        built(algorithms, "DUS", True, planner="dus", threshold=0.9)


@pytest.mark.parametrize("planner", ["dus", "random(steps=4)"])
def test_a_schedule_reads_nothing_from_the_device_after_a_blocks_first_step(algorithms, planner):
    algorithm, states = built(algorithms, "DUS", False, planner=planner), [None]
    ids, positions = torch.full((BLOCK,), MASK), torch.arange(BLOCK)
    batch = SimpleNamespace(batch_size=1, input_ids=ids, positions=positions, dllm_prompt_mask=None)
    assert algorithm.step(batch, torch.randn(BLOCK, 256), states) == [False]
    batch.input_ids, logits = ids.to("meta"), torch.empty(BLOCK, 256, device="meta")  # which nothing can be read from
    algorithm._sampler = None
    done = [algorithm.step(batch, logits, states)[0] for _ in range(algorithm.max_steps(BLOCK) - 1)]
    assert done == [False] * (len(done) - 1) + [True]
