"""The seam for caches, with a toy cache: the published cached decoders come out token for token."""

import json

import pytest
import torch
from transformers import Cache

from dus.denoisers import DenoiserError, load


class ToyCache(Cache):
    """Keys and values of every canvas column; each forward overwrites those at `positions`."""

    def __init__(self, positions):
        super().__init__(layers=[])
        self.positions = positions
        self.states = {}

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        if layer_idx not in self.states:
            self.states[layer_idx] = (key_states.clone(), value_states.clone())
        keys, values = self.states[layer_idx]
        rows = torch.arange(len(keys))[:, None]
        columns = torch.atleast_2d(self.positions)
        keys[rows, :, columns] = key_states.transpose(1, 2)
        values[rows, :, columns] = value_states.transpose(1, 2)
        return keys, values


@pytest.fixture(scope="session")
def ours(llada):
    return load(llada, dtype="float32", device="cpu")


@pytest.mark.parametrize(("kind", "padded"), [("flex_attention", False), ("flash_attention_2", True)])
def test_attention_that_takes_no_cache_is_named(llada, kind, padded, monkeypatch):
    denoiser = load(llada, dtype="float32", device="cpu")
    monkeypatch.setattr(denoiser.model.config, "_attn_implementation_internal", kind)
    canvas, read = torch.full((1, 6), 5), torch.tensor([5])
    mask = torch.tensor([[0, 1, 1, 1, 1, 1]]) if padded else None
    with pytest.raises(DenoiserError, match=f"{kind} takes no cache.*attn_implementation='sdpa'"):
        denoiser.logits(canvas, read=read, attention_mask=mask, cache=ToyCache(torch.arange(6)))


def unmask(denoiser, canvas, logits, block, threshold):
    """One step of threshold decoding at the block's columns: logits [1, B, V], canvas [1, L] in place."""
    logits[..., denoiser.mask_token_id] = -1e9
    confidence, token = logits[0].double().softmax(-1).max(-1)
    masked = canvas[0, block] == denoiser.mask_token_id
    confidence = confidence.where(masked, -1.0)
    chosen = masked & (confidence >= threshold)
    chosen[confidence.argmax()] = True
    canvas[0, block[chosen]] = token[chosen]


def decode(denoiser, trace, kept):
    """Threshold decoding with the `kept` columns cached; returns the generated tokens and the calls made."""
    prompt = torch.tensor([trace["prompt"]])
    start, length = prompt.shape[1], prompt.shape[1] + trace["gen_length"]
    canvas = torch.cat([prompt, torch.full((1, trace["gen_length"]), denoiser.mask_token_id)], dim=1)
    calls = spare = 0
    for begin in range(start, length, trace["block_length"]):
        block = torch.arange(begin, begin + trace["block_length"])
        cache = ToyCache(torch.arange(length))
        first = calls
        while (canvas[0, block] == denoiser.mask_token_id).any():
            unmask(denoiser, canvas, denoiser.logits(canvas, read=block, cache=cache), block, trace["threshold"])
            cache.positions = block if kept == "dual" else torch.arange(begin, length)
            calls += 1
        spare += calls - first == 1  # the published loop makes a second call all the same
    return canvas[0, start:].tolist(), calls + spare


@pytest.mark.parametrize("kept", ["prefix", "dual"])
def test_published_cached_traces(ours, llada, kept):
    file = llada / "traces.json"
    traces = json.loads(file.read_text()) if file.exists() else []
    cached = [trace for trace in traces if trace["algo"] == f"threshold+{kept}_cache"]
    if not cached:
        pytest.skip("no cached traces here")
    for trace in cached:
        assert decode(ours, trace, kept) == (trace["output"], trace["nfe"])


def test_a_cache_that_computes_everything_changes_nothing(denoiser, reference):
    canvas, _ = reference
    count, length = canvas.shape
    read = (torch.arange(3 * count) * 7 % length).view(count, 3)
    logits = denoiser.logits(canvas, read=read, cache=ToyCache(torch.arange(length)))
    torch.testing.assert_close(logits, denoiser.logits(canvas, read=read), atol=0, rtol=0)


@pytest.mark.parametrize("each_row_its_own", [False, True])
def test_part_of_a_canvas_equals_the_whole_while_nothing_changed(denoiser, reference, each_row_its_own):
    """Fresh keys and values everywhere: a partial forward must reproduce the full one, padded rows included."""
    canvas, _ = reference
    count, length = canvas.shape
    mask = torch.ones_like(canvas)
    mask[0, :3] = 0
    begin = torch.arange(count)[:, None] % 2 + 5 if each_row_its_own else torch.tensor(5)
    block = begin + torch.arange(4)
    positions = torch.cat([block[..., :1] - 1, block], dim=-1) if denoiser.shift else block
    cache = ToyCache(torch.arange(length))
    full = denoiser.logits(canvas, read=block, attention_mask=mask, cache=cache)
    cache.positions = positions
    part = denoiser.logits(canvas, read=block, attention_mask=mask, cache=cache)
    torch.testing.assert_close(part, full, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_columns_can_be_hidden_from_a_partial_forward(golden, reference, attention):
    """A zero in the attention mask after the row's first token hides keys and moves no position."""
    denoiser = load(golden, dtype="float32", device="cpu", attn_implementation=attention)
    canvas, _ = reference
    length = canvas.shape[1]
    end = length - 4
    mask = torch.ones_like(canvas)
    mask[:, end:] = 0
    cache = ToyCache(torch.arange(length))
    denoiser.logits(canvas, read=torch.arange(1), attention_mask=mask, cache=cache)
    cache.positions = read = torch.arange(end - 3, end)
    hidden = denoiser.logits(canvas, read=read[1:], attention_mask=mask, cache=cache)
    cut = denoiser.logits(canvas[:, :end], read=read[1:])
    torch.testing.assert_close(hidden, cut, atol=1e-5, rtol=1e-5)


def test_reading_what_was_not_computed_fails(denoiser, reference):
    canvas, _ = reference
    cache = ToyCache(torch.arange(canvas.shape[1]))
    denoiser.logits(canvas, read=torch.arange(2), cache=cache)
    cache.positions = torch.arange(4, 8)
    with pytest.raises(IndexError):
        denoiser.logits(canvas, read=torch.tensor([9]), cache=cache)
