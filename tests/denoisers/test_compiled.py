"""A compiled forward: few graphs for every size, the same tokens, and what is refused.

The forward is traced and taken apart as for machine code, whose making takes a minute, and then run as it is.
"""

from functools import partial

import pytest
import torch

import dus
from dus.denoisers import DenoiserError, DreamConfig, DreamForMaskedLM, LladaConfig, LladaForMaskedLM, NativeLM, load
from dus.denoisers.compiled import compile_forward

SIZES = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 48}


def prompts(*lengths):
    drawn = torch.Generator().manual_seed(1)
    return [torch.randint(3, 64, (length,), generator=drawn) for length in lengths]


ASKED = [  # alone, and in batches that are padded and whose rows want different positions
    (prompts(5), {"planner": "dus", "max_new_tokens": 14, "block_length": 8}),
    (prompts(5, 9, 3), {"planner": "eb(gamma=4)", "max_new_tokens": 14, "block_length": 8}),
    (prompts(20, 11), {"planner": "dus", "max_new_tokens": 9, "block_length": 5}),
]


def small(family):
    torch.manual_seed(3)
    config, model = (LladaConfig, LladaForMaskedLM) if family == "llada" else (DreamConfig, DreamForMaskedLM)
    made = model(config(**SIZES, num_hidden_layers=1, vocab_size=64, max_position_embeddings=256, mask_token_id=2))
    with torch.no_grad():
        for weights in made.parameters():
            weights.normal_(std=0.3)
    return NativeLM(made.eval())


@pytest.fixture
def graphs(monkeypatch):
    """Counts the graphs of a `torch.compile` that makes no machine code, and refuses a forward of more than one."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    whole = partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", lambda model, *, dynamic, mode: whole(model, dynamic=dynamic))
    return lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]


def check_same(plain, compiled, rows, **asked):
    one, other = (dus.generate(model, rows, **asked) for model in (plain, compiled))
    assert [row.tolist() for row in one.tokens] == [row.tolist() for row in other.tokens]


@pytest.mark.parametrize(("family", "caches"), [("llada", ["none", "dual", "touched"]), ("dream", ["touched"])])
def test_all_sizes_and_ways_to_cache_write_the_same_tokens_from_few_graphs(graphs, family, caches):
    plain, compiled = small(family), small(family)
    compile_forward(compiled.body, "default")
    for cache in caches:
        for rows, asked in ASKED:
            check_same(plain, compiled, rows, cache=cache, **asked)
    assert 2 <= graphs() <= 10


def test_load_compiles_what_it_loads_in_eight_bits_too(folder, graphs):
    for quantize in (None, "int8"):
        before = graphs()
        plain, compiled = (
            load(folder, dtype="float32", device="cpu", quantize=quantize, compile=on) for on in (False, True)
        )
        check_same(plain, compiled, prompts(5, 4), max_new_tokens=6, block_length=4)
        assert graphs() > before


def test_what_is_refused(folder, monkeypatch):
    with pytest.raises(DenoiserError, match="compile is 'fast', known are True and default, reduce-overhead"):
        load(folder, device="cpu", compile="fast")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DenoiserError, match=r"needs a C\+\+ compiler: install g\+\+ or clang"):
        load(folder, device="cpu", compile=True)
