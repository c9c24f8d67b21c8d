"""What a cache mode recomputes, and that it keeps its books."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.decoding import GenerationError
from dus.decoding.caches import MODES, KeyValuePool
from dus.denoisers import DenoiserAround, DreamConfig, DreamForMaskedLM, LladaConfig, LladaForMaskedLM, NativeLM

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
    return NativeLM(made.eval())


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


class Watching(DenoiserAround):
    """A denoiser that notes the columns that each call computes, row by row."""

    def __init__(self, inner):
        super().__init__(inner)
        self.computed = []

    def logits(self, canvas, *, read, attention_mask=None, cache=None):
        layout = cache.layout
        if layout.rows is None:
            self.computed.append(torch.atleast_2d(layout.columns).expand(len(canvas), -1).tolist())
        else:
            self.computed.append([part.tolist() for part in layout.columns.split(list(layout.counts))])
        return self.inner.logits(canvas, read=read, attention_mask=attention_mask, cache=cache)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_block_opens_with_keys_and_values_as_if_recomputed(two_layers, cache):
    class Checking(DenoiserAround):
        seen = 0

        def logits(self, canvas, *, read, attention_mask=None, cache=None):
            answer = self.inner.logits(canvas, read=read, cache=cache)
            if max(cache.layout.counts) == max(cache.layout.seen):
                fresh = KeyValuePool(len(canvas), canvas.shape[1])
                fresh.layout = cache.layout
                self.inner.logits(canvas, read=read, cache=fresh)
                for kept, anew in zip(cache.keys + cache.values, fresh.keys + fresh.values, strict=True):
                    for row, seen in enumerate(cache.layout.seen):
                        torch.testing.assert_close(kept[row, :, :seen], anew[row, :, :seen])
                self.seen += 1
            return answer

    model = Checking(two_layers)
    dus.generate(model, prompts(6, 3), max_new_tokens=24, block_length=8, cache=cache, eos="ignore")
    assert model.seen == 3


def test_the_columns_that_each_mode_computes(two_layers):
    """A prompt of 10, blocks of 12; the first step reads one mask of 12, the second two of 11, the third the others."""
    shift, computed = two_layers.shift, {}
    for mode in MODES:
        model = Watching(two_layers)
        planner = "levels(groups='0/4 8/1 2 3 5 6 7 9 10 11')"
        dus.generate(model, prompts(10), planner=planner, max_new_tokens=24, block_length=12, cache=mode, eos="ignore")
        computed[mode] = [rows[0] for rows in model.computed]
    spans = {
        "prefix": [(0, 34), (10, 34), (10, 34), (0, 34), (22, 34), (22, 34)],
        "dual": [(0, 34), (10, 22), (10, 22), (0, 34), (22, 34), (22, 34)],
        "block": [(0, 34), (10, 22), (10, 22), (10, 34), (22, 34), (22, 34)],
    }
    for mode, expected in spans.items():
        assert computed[mode] == [list(range(first and first - shift, stop)) for first, stop in expected]
    # The one that the first step wrote and all masks; then those of the second and what is read; then those of the
    # third and the one that is read. The row that predicts a shifted family's position stands before it, and the
    # position itself need not be computed.
    steps = [[0], [4, 8], [1, 2, 3, 5, 6, 7, 9, 10, 11]]
    for block in (0, 1):
        start, masks, stale = 10 + 12 * block, set(range(12)), set()
        for number, read in enumerate(steps):
            expected = {start + at - shift for at in read} | stale
            if 8 * len(read) >= len(masks):
                expected |= {start + at for at in masks}
            if number or block:
                if number == 0:
                    expected |= {start - 12 + at for at in steps[2]}
                assert computed["touched"][3 * block + number] == sorted(expected)
            masks -= set(read)
            stale = {start + at for at in read}


@pytest.mark.parametrize(("mode", "columns"), [("dual", 128), ("block", 192), ("touched", 104)])
def test_the_columns_of_a_block_of_32_are_as_many_as_docs_design_says(two_layers, mode, columns):
    model = Watching(two_layers)
    dus.generate(model, prompts(6), max_new_tokens=64, block_length=32, cache=mode, eos="ignore")
    counts = [len(rows[0]) for rows in model.computed]
    assert len(counts) == 10
    more = sum(counts[5:]) - columns - (70 if mode == "dual" else 0)
    assert more == 0 if two_layers.shift == 0 else abs(more) <= 32  # the rows that stand before what they predict


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=6)"])
@pytest.mark.parametrize("states", ["keys", "values"])
@pytest.mark.parametrize("cache", ["block", "touched"])
def test_a_kept_state_that_breaks_is_an_error_that_names_the_row_and_the_step(two_layers, cache, states, planner):
    class Breaking(DenoiserAround):
        calls = 0

        def logits(self, canvas, *, cache, **kwargs):
            if self.calls == 2:
                getattr(cache, states)[0][1, :, 0] = torch.nan  # of the prompt, which these modes never compute again
            self.calls += 1
            return self.inner.logits(canvas, cache=cache, **kwargs)

    with pytest.raises(GenerationError, match=r"for row 1, in .*, at the row's step 2: .* a state"):
        dus.generate(Breaking(two_layers), prompts(5, 5, 5), planner=planner, max_new_tokens=16, cache=cache)


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
