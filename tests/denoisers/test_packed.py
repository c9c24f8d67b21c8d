"""Packed weights: the same products as plain layers, the same checkpoint when saved, and left alone where they must."""

import copy
import gc
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import linear

from dus.denoisers import load
from dus.denoisers.packed import _LAYERS, PackedLinear, pack, packable, weights

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
TYPES = [dtype for dtype in TOLERANCE if packable(nn.Parameter(torch.ones(2, 2, dtype=dtype)))]


@given(
    shape=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    dtype=st.sampled_from(TYPES),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
def test_products_are_those_of_the_plain_layer(shape, sizes, dtype, bias, seed):
    torch.manual_seed(seed)
    plain = nn.Linear(*sizes, bias=bias, dtype=dtype).requires_grad_(False)
    packed, given_ = PackedLinear(plain), torch.randn(*shape, sizes[0]).to(dtype)
    assert torch.equal(packed.weight, plain.weight)
    got, expected = (
        packed(given_),
        linear(given_.double(), plain.weight.double(), plain.bias.double() if bias else None),
    )
    assert got.shape == expected.shape
    assert got.dtype is dtype
    assert torch.allclose(got.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_a_gradient_goes_through_to_the_input():
    plain = nn.Linear(8, 6).requires_grad_(False)
    hidden = torch.randn(4, 8, requires_grad=True)
    PackedLinear(plain)(hidden).sum().backward()
    assert torch.allclose(hidden.grad, plain.weight.sum(0).expand(4, 8), atol=1e-6)


@pytest.mark.parametrize("view", [lambda x: x.transpose(0, 1), lambda x: x[:, 1:3], lambda x: x[:, :1].expand(4, 5, 8)])
def test_views_are_taken_too(view):
    plain = nn.Linear(8, 6).requires_grad_(False)
    hidden = view(torch.randn(4, 5, 8))
    assert torch.allclose(PackedLinear(plain)(hidden), plain(hidden), atol=1e-6)


def test_all_layers_of_a_checkpoint_on_a_cpu_are_packed_and_saved_as_they_came(folder, tmp_path):
    denoiser = load(folder, dtype="float32", device="cpu")
    layers = [module for module in denoiser.model.modules() if isinstance(module, nn.Linear)]
    assert layers
    assert all(type(layer) is PackedLinear for layer in layers)
    total = sum(tensor.numel() for tensor in weights(denoiser.model))
    denoiser.model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved", dtype="float32", device="cpu")
    assert total == sum(tensor.numel() for tensor in load_file(tmp_path / "saved" / "model.safetensors").values())
    ours, theirs = again.model.state_dict(), denoiser.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_is_a_layer_of_its_own(copied):
    layer = PackedLinear(nn.Linear(8, 6).requires_grad_(False))
    other, hidden = copied(layer), torch.randn(3, 8)
    expected, number = layer(hidden), layer.number
    assert other.number != number
    del layer
    gc.collect()
    assert number not in _LAYERS
    assert torch.equal(other(hidden), expected)


def test_other_types_and_devices_stay_as_they_are():
    kept = nn.ModuleList([nn.Linear(4, 4, dtype=torch.float64), nn.Linear(4, 4, device="meta"), nn.Conv1d(4, 4, 1)])
    before = list(kept)
    pack(kept)
    assert list(kept) == before


@pytest.mark.parametrize(("lacking", "packed"), [("all", 0), ("bfloat16", 1)])
def test_a_processor_without_the_products_keeps_plain_layers(monkeypatch, lacking, packed):
    layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16)])
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: lacking != "all")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    pack(layers)
    assert [type(layer) is PackedLinear for layer in layers] == [packed == 1, False]


def test_compiled_code_calls_packed_layers_without_a_break():
    torch._dynamo.reset()
    layers = nn.Sequential(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3)).requires_grad_(False)
    plain = copy.deepcopy(layers)
    pack(layers)
    compiled = torch.compile(layers, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (2, 5):
        hidden = torch.randn(rows, 8)
        assert torch.allclose(compiled(hidden), plain(hidden), atol=1e-6)
