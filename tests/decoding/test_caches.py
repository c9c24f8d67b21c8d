"""What a cache mode recomputes, and that it keeps its books."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.decoding import GenerationError
from dus.decoding.caches import MODES, ColumnCache, KeptStates
from dus.decoding.canvas import lay_out
from dus.denoisers import Checkpoint, DreamConfig, DreamForMaskedLM, LladaConfig, LladaForMaskedLM

from .goldens import checkpoint, traced

PLANNERS = ["dus", "confidence(steps=3)", "dus | deferred(threshold=0.5)", "eb(gamma=6) | spaced(gap=4)", "saber"]


def small(family, layers):
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 64}
    config, model = (LladaConfig, LladaForMaskedLM) if family == "llada" else (DreamConfig, DreamForMaskedLM)
    made = model(config(**sizes, num_key_value_heads=4, vocab_size=64, max_position_embeddings=256, mask_token_id=2))
    with torch.no_grad():
        for weights in made.parameters():
            weights.normal_(std=0.3)
    return Checkpoint(made.eval())


@pytest.fixture(scope="module", params=["llada", "dream"])
def one_layer(request):
    return small(request.param, 1)


@pytest.fixture(scope="module", params=["llada", "dream"])
def two_layers(request):
    return small(request.param, 2)


def prompts(*lengths):
    drawn = torch.Generator().manual_seed(1)
    return [torch.randint(3, 64, (length,), generator=drawn) for length in lengths]


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("cache", MODES)
def test_with_one_layer_every_mode_is_exact(one_layer, planner, cache):
    """Keys and values of a first layer depend on no other token, so only a column left out by mistake could differ."""
    settings = {"planner": planner, "max_new_tokens": 27, "block_length": 8}
    rows = prompts(5, 1, 12, 7)
    exact = dus.generate(one_layer, rows, **settings)
    cached = dus.generate(one_layer, rows, **settings, cache=cache)
    assert [row.tolist() for row in cached.tokens] == [row.tolist() for row in exact.tokens]
    assert cached.nfe == exact.nfe


@pytest.mark.parametrize("cache", MODES)
def test_with_one_layer_infilling_guidance_and_empty_prompts_are_exact_too(one_layer, cache):
    rows = prompts(20, 20)
    rows[0][[3, 4, 9, 17]] = 2
    rows[1][[0, 11, 12, 13, 19]] = 2
    for planner in ("dus", "saber", "cb(tau=0.2)"):
        settings = {"planner": planner, "max_new_tokens": 9, "block_length": 6, "cfg_scale": 0.7}
        exact = dus.generate(one_layer, [*rows, torch.tensor([], dtype=torch.long)], **settings)
        cached = dus.generate(one_layer, [*rows, torch.tensor([], dtype=torch.long)], **settings, cache=cache)
        assert [row.tolist() for row in cached.tokens] == [row.tolist() for row in exact.tokens]


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("cache", MODES)
def test_a_row_in_a_batch_equals_the_row_alone(two_layers, planner, cache):
    settings = {"planner": planner, "max_new_tokens": 20, "block_length": 8, "cache": cache}
    rows = prompts(4, 9, 1)
    together = dus.generate(two_layers, rows, **settings)
    for number, row in enumerate(rows):
        alone = dus.generate(two_layers, [row], **settings)
        assert alone.tokens[0].tolist() == together.tokens[number].tolist()
        assert alone.nfe[0] == together.nfe[number]


@pytest.fixture(scope="module", params=["llada", "dream"])
def in_double(request):
    """A model whose near ties do not hang on how products are summed."""
    model = small(request.param, 2)
    model.model.double()
    return model


masks_of_a_row = st.lists(st.booleans(), min_size=14, max_size=14).filter(any)


@given(masks=st.lists(masks_of_a_row, min_size=1, max_size=4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_row_that_is_filled_in_equals_the_row_alone(in_double, masks, data):
    """Whatever blocks the rows beside it have nothing to decode in."""
    planner, cache = data.draw(st.sampled_from(PLANNERS)), data.draw(st.sampled_from(list(MODES)))
    given_ = {"planner": planner, "max_new_tokens": data.draw(st.sampled_from([0, 5])), "block_length": 3}
    rows = [
        row.masked_fill(torch.tensor(mask), 2) for row, mask in zip(prompts(*[14] * len(masks)), masks, strict=True)
    ]
    together = dus.generate(in_double, rows, **given_, cache=cache, eos="ignore")
    for number, row in enumerate(rows):
        alone = dus.generate(in_double, [row], **given_, cache=cache, eos="ignore")
        assert alone.tokens[0].tolist() == together.tokens[number].tolist()
        assert alone.nfe[0] == together.nfe[number]
        torch.testing.assert_close(alone.trace.confidence[0], together.trace.confidence[number])


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=6)", "saber"])
@pytest.mark.parametrize("cache", MODES)
def test_a_row_that_leaves_takes_its_books_with_it(in_double, planner, cache):
    rows = prompts(14, 14, 14)
    for row, count in zip(rows, (3, 14, 6), strict=True):
        row[:count] = 2
    given_ = {"planner": planner, "max_new_tokens": 0, "block_length": 3, "cache": cache, "eos": "ignore"}
    together = dus.generate(in_double, rows, **given_)
    for number, row in enumerate(rows):
        alone = dus.generate(in_double, [row], **given_)
        assert alone.tokens[0].tolist() == together.tokens[number].tolist()
        torch.testing.assert_close(alone.trace.confidence[0], together.trace.confidence[number])


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_block_opens_with_keys_and_values_as_if_recomputed(two_layers, cache, monkeypatch):
    seen = []
    logits = Checkpoint.logits

    def checked(self, canvas, *, read, attention_mask=None, cache=None):
        answer = logits(self, canvas, read=read, attention_mask=attention_mask, cache=cache)
        if cache is not None and cache.positions.shape[-1] == canvas.shape[1]:
            fresh = ColumnCache()
            fresh.positions = cache.positions
            logits(self, canvas, read=read, attention_mask=attention_mask, cache=fresh)
            for kept, anew in zip(cache.keys + cache.values, fresh.keys + fresh.values, strict=True):
                torch.testing.assert_close(kept, anew)
            seen.append(1)
        return answer

    monkeypatch.setattr(Checkpoint, "logits", checked)
    dus.generate(two_layers, prompts(6, 3), max_new_tokens=24, block_length=8, cache=cache)
    assert len(seen) == 3


@pytest.mark.parametrize("shift", [0, 1])
def test_the_columns_that_each_mode_computes(shift):
    """A prompt of 10, blocks of 12; the first step reads one mask of 12, the second two of 11, the third the others."""
    steps = [[0], [4, 8], [1, 2, 3, 5, 6, 7, 9, 10, 11]]
    computed = {mode: [] for mode in MODES}
    for mode, columns in computed.items():
        canvas = lay_out([torch.arange(10) + 5], mask_token_id=2, max_new_tokens=24, context=None, device="cpu")
        states = KeptStates(mode, canvas, shift=shift, copies=1)
        for start in (0, 12):
            masked = torch.ones(1, 12, dtype=torch.bool)
            for step in steps:
                read = torch.zeros(1, 12, dtype=torch.bool)
                read[0, step] = True
                columns.append(states.before_call(torch.arange(1), start, masked, read).positions.tolist())
                states.cache.keys = [None]  # as if a forward had been
                masked = masked & ~read
    spans = {
        "prefix": [(0, 34), (10, 34), (10, 34), (0, 34), (22, 34), (22, 34)],
        "dual": [(0, 34), (10, 22), (10, 22), (0, 34), (22, 34), (22, 34)],
        "block": [(0, 34), (10, 22), (10, 22), (10, 34), (22, 34), (22, 34)],
    }
    for mode, expected in spans.items():
        assert computed[mode] == [list(range(first and first - shift, stop)) for first, stop in expected]
    # The one that the first step wrote and all masks; then those of the second and what is read; then those of the
    # third and the one that is read. The row that predicts a shifted family's position stands before it.
    last_two = [list(range(10, 22)), list(range(11 - shift, 22))]
    opening = [11, 12, 13, 15, 16, 17, 19, 20, 21, 22]
    expected = [list(range(34)), *last_two, opening, *([column + 12 for column in step] for step in last_two)]
    assert computed["touched"] == expected


@pytest.mark.parametrize(("mode", "columns"), [("dual", 128), ("block", 192), ("touched", 104)])
def test_the_columns_of_a_block_of_32_are_as_many_as_docs_design_says(two_layers, monkeypatch, mode, columns):
    counts, logits = [], Checkpoint.logits

    def counted(self, canvas, *, cache, **kwargs):
        counts.append(cache.positions.shape[-1])
        return logits(self, canvas, cache=cache, **kwargs)

    monkeypatch.setattr(Checkpoint, "logits", counted)
    dus.generate(two_layers, prompts(6), max_new_tokens=64, block_length=32, cache=mode, eos="ignore")
    assert len(counts) == 10
    more = sum(counts[5:]) - columns - (70 if mode == "dual" else 0)
    assert more == 0 if two_layers.shift == 0 else 0 < more <= 32  # the rows that stand before what they predict


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=6)"])
@pytest.mark.parametrize("states", ["keys", "values"])
@pytest.mark.parametrize("cache", ["block", "touched"])
def test_a_kept_state_that_breaks_is_an_error_that_names_the_row_and_the_step(two_layers, cache, states, planner):
    class Breaking:
        calls = 0

        def __getattr__(self, name):
            return getattr(two_layers, name)

        def logits(self, canvas, *, cache, **kwargs):
            if self.calls == 2:
                getattr(cache, states)[0][1, :, 0] = torch.nan  # of the prompt, which these modes never compute again
            self.calls += 1
            return two_layers.logits(canvas, cache=cache, **kwargs)

    with pytest.raises(GenerationError, match=r"for row 1, in .*, at the row's step 2: .* a state"):
        dus.generate(Breaking(), prompts(5, 5, 5), planner=planner, max_new_tokens=16, block_length=16, cache=cache)


def test_cached_golden_traces_come_out_token_for_token():
    """The published loops call once more in a block that its first call finished; that call need not be made."""
    for folder in traced():
        cached = [trace for trace in json.loads((folder / "traces.json").read_text()) if "_cache" in trace["algo"]]
        assert cached
        for trace in cached:
            width = trace["block_length"]
            result = dus.generate(
                checkpoint(folder),
                [torch.tensor(trace["prompt"])],
                planner=f"cb(tau={trace['threshold']})",
                max_new_tokens=trace["gen_length"],
                block_length=width,
                eos="ignore",
                cache=trace["algo"].removeprefix("threshold+").removesuffix("_cache"),
            )
            spare = sum(len(block.unique()) == 1 for block in result.trace.step[0].split(width))
            assert result.tokens[0].tolist() == trace["output"]
            assert result.nfe[0] + spare == trace["nfe"]
