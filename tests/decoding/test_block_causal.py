"""Block-causal models: published traces, an independent reference, and how many columns are computed."""

import json
from collections import defaultdict

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3ForCausalLM

import dus
from dus.decoding import Engine, GenerationError, Settings
from dus.denoisers import load

from .goldens import FOLDERS

GOLDEN = FOLDERS[0]
END = 251


def cases():
    """The traces of LLaDA2.0 and 2.1, those of the same settings together: one case is a batch."""
    for name in ("llada2", "llada21"):
        alike = defaultdict(list)
        for trace in json.loads((GOLDEN / f"{name}-random-a" / "traces.json").read_text()):
            planner = f"cb(tau={trace['threshold']}"
            if name == "llada2":
                planner += f", least={trace['block_length'] // trace['steps']})"
            else:
                planner += f") | edited(threshold={trace['editing_threshold']}, rounds={trace['max_post_steps']})"
            alike[planner, trace["block_length"], trace["gen_length"]].append(trace)
        for (planner, block, length), traces in alike.items():
            yield pytest.param(name, planner, block, length, traces, id=f"{name}: {planner}, {length} by {block}")


@pytest.mark.parametrize(("name", "planner", "block_length", "length", "traces"), list(cases()))
@pytest.mark.parametrize(("cache", "batch_size"), [("none", 1), ("block", 64)])
def test_a_published_trace_comes_out_token_for_token(name, planner, block_length, length, traces, cache, batch_size):
    model = load(GOLDEN / f"{name}-random-a", dtype="float32", block_length=block_length)
    prompts = [torch.tensor(trace["prompt"]) for trace in traces]
    expected = [
        trace["output"][: trace["output"].index(END)] if END in trace["output"] else trace["output"] for trace in traces
    ]
    got = dus.generate(model, prompts, planner=planner, max_new_tokens=length, cache=cache, batch_size=batch_size)
    assert [row.tolist() for row in got.tokens] == expected


def qwen3(folder):
    """The checkpoint in transformers' own Qwen3, which knows nothing of blocks."""
    config = json.loads((folder / "config.json").read_text())
    own = {key: value for key, value in config.items() if key in Qwen3Config().to_dict() and key != "model_type"}
    own["rope_parameters"] = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    model = Qwen3ForCausalLM(Qwen3Config(**own)).eval()
    state = {
        name.removeprefix("model.model."): weight for name, weight in load_file(folder / "model.safetensors").items()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    return model


def reference(model, mask, prompt, new, block, tau):
    """Threshold decoding as the block-causal papers write it: a 4-D mask, the whole sequence at every call."""
    whole = -(-(len(prompt) + new) // block) * block
    tokens = [*prompt, *[mask] * (whole - len(prompt))]
    for start in range(len(prompt) // block * block, whole, block):
        while mask in tokens[start : start + block]:
            seen = start + block
            number = torch.arange(seen) // block
            visible = number[:, None] >= number
            bias = torch.zeros(seen, seen).masked_fill(~visible, torch.finfo(torch.float32).min)
            with torch.no_grad():
                logits = model(torch.tensor([tokens[:seen]]), attention_mask=bias[None, None]).logits[0, start:]
            logits[:, mask] = -1e9
            chance, token = logits.softmax(-1).max(-1)
            left = [at for at in range(block) if tokens[start + at] == mask]
            sure = [at for at in left if chance[at] >= tau] or [max(left, key=lambda at: float(chance[at]))]
            for at in sure:
                tokens[start + at] = int(token[at])
    return tokens[len(prompt) : len(prompt) + new]


@pytest.mark.parametrize("block", [4, 32])
@pytest.mark.parametrize("cache", ["none", "block"])
def test_transformers_own_qwen3_writes_the_same(block, cache):
    folder = GOLDEN / "a2d-qwen3-random-a"
    model, other = load(folder, dtype="float32", block_length=block), qwen3(folder)
    draw = torch.Generator().manual_seed(block)
    prompts = [torch.randint(3, 250, (size,), generator=draw) for size in (1, 4, 7, 37)]
    got = dus.generate(model, prompts, planner="cb(tau=0.4)", max_new_tokens=21, cache=cache, eos="ignore")
    for prompt, answer in zip(prompts, got.tokens, strict=True):
        assert answer.tolist() == reference(other, model.mask_token_id, prompt.tolist(), 21, block, 0.4)


@pytest.mark.parametrize("prompt", [1, 40, 64, 256])
def test_each_block_is_computed_at_its_steps_and_once_more(prompt):
    block, new, steps = 32, 512, 5
    model = load(GOLDEN / "llada2-random-a", dtype="float32", block_length=block)
    model.max_length = None
    engine = Engine(model, rows=1)
    engine.submit(torch.full((prompt,), 7), Settings(planner="dus", max_new_tokens=new, eos="ignore"))
    while len(engine):
        engine.step()
    first, last = prompt // block, -(-(prompt + new) // block)
    assert engine.calls <= steps * (last - first)
    assert engine.columns <= first * block + (last - first) * block * (1 + steps)
    if prompt % block == 0:
        assert engine.columns <= 1.02 * (prompt + new * (1 + steps))


@pytest.mark.parametrize("cache", ["prefix", "dual", "touched"])
def test_what_is_for_full_attention_is_refused_by_name(cache):
    model = load(GOLDEN / "llada2-random-a", dtype="float32", block_length=8)
    with pytest.raises(GenerationError, match=f"cache is '{cache}', but this model is block-causal"):
        dus.generate(model, [[5]], max_new_tokens=8, cache=cache)
    with pytest.raises(GenerationError, match="this model's blocks have 8 tokens"):
        dus.generate(model, [[5]], max_new_tokens=8, block_length=4)
