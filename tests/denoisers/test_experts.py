"""Experts on a CPU: packed, they compute what transformers' loop computes, and stay a module like any other."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from dus.denoisers import NativeLM, load
from dus.denoisers.experts import PACKED, pack_experts
from dus.denoisers.packed import PackedWeight

from .test_families import OF_FAMILY, tiny

CANVAS, READ = torch.arange(24).view(2, 12), torch.arange(12)


def experts_of(model):
    """The experts of the last layer, as the first one of some families has none."""
    return model.model.layers[-1].mlp.experts


def close(got, expected, tolerance=1e-5):
    assert (got - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.fixture(scope="module", params=OF_FAMILY)
def pair(request):
    """A model as transformers computes it, and the same with packed experts."""
    plain = tiny(request.param)
    packed = copy.deepcopy(plain)
    pack_experts(packed)
    return plain, packed


def test_experts_are_packed_and_compute_the_same(pair):
    plain, packed = pair
    assert plain.config._experts_implementation != PACKED
    assert packed.config._experts_implementation == PACKED
    assert isinstance(experts_of(packed).gate_up_proj, PackedWeight)
    for length in (1, 3, 12):
        got, expected = (NativeLM(each).logits(CANVAS[:, :length], read=READ[:length]) for each in (packed, plain))
        close(got, expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 99))
def test_every_token_goes_to_its_experts(tokens, each, seed):
    """Against the loop of transformers, also where some experts get nothing or one gets all."""
    drawn = torch.Generator().manual_seed(seed)
    plain = tiny("lladamoe")
    packed = copy.deepcopy(plain)
    pack_experts(packed)
    hidden = torch.randn(tokens, 32, generator=drawn)
    chosen = torch.stack([torch.randperm(6, generator=drawn)[:each] for _ in range(tokens)])
    if seed % 3 == 0:
        chosen = chosen[:1].expand(tokens, each).contiguous()
    shares = torch.rand(tokens, each, generator=drawn)
    with torch.no_grad():
        close(experts_of(packed)(hidden, chosen, shares), experts_of(plain)(hidden, chosen, shares))


def test_loading_packs_them_unless_another_implementation_is_asked_for(tmp_path):
    tiny("llada2_moe").save_pretrained(tmp_path)
    told = {"dtype": "float32", "device": "cpu"}
    found = {
        PACKED: load(tmp_path, **told),
        "eager": load(tmp_path, **told, experts_implementation="eager"),
        "grouped_mm": load(tmp_path, **told, experts_implementation="grouped_mm"),
    }
    expected = found["eager"].logits(CANVAS, read=READ)
    for name, denoiser in found.items():
        assert denoiser.model.config._experts_implementation == name
        assert isinstance(experts_of(denoiser.model).down_proj, PackedWeight) == (name == PACKED)
        close(denoiser.logits(CANVAS, read=READ), expected)
    assert not isinstance(experts_of(load(tmp_path, **told, pack=False).model).down_proj, PackedWeight)


def test_what_is_saved_are_the_published_experts(pair, tmp_path):
    for model, name in zip(pair, ("plain", "packed"), strict=True):
        model.save_pretrained(tmp_path / name)
    plain, packed = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "packed"))
    assert plain.keys() == packed.keys()
    assert all(torch.equal(plain[key], packed[key]) for key in plain)
    assert PACKED not in (tmp_path / "packed" / "config.json").read_text()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_experts_of_its_own(pair, copied):
    _, packed = pair
    expected = NativeLM(packed).logits(CANVAS, read=READ)
    other = copied(packed)
    close(NativeLM(other).logits(CANVAS, read=READ), expected)
    with torch.no_grad():
        experts_of(other).down_proj.zero_()
    assert not torch.equal(NativeLM(other).logits(CANVAS, read=READ), expected)
    assert torch.equal(NativeLM(packed).logits(CANVAS, read=READ), expected)


def test_writes_to_single_experts_count(pair):
    plain, packed = map(copy.deepcopy, pair)
    with torch.no_grad():
        for model in (plain, packed):
            experts_of(model).down_proj[1].mul_(-1)
            experts_of(model).gate_up_proj[2, 3] = 0.5
    assert torch.equal(experts_of(packed).down_proj, experts_of(plain).down_proj)
    close(*(NativeLM(each).logits(CANVAS, read=READ) for each in (packed, plain)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_packed_experts_go_to_another_type(pair, dtype):
    plain, packed = (copy.deepcopy(model).to(dtype) for model in pair)
    assert {parameter.dtype for parameter in packed.parameters() if parameter.is_floating_point()} == {dtype}
    close(*(NativeLM(each).logits(CANVAS, read=READ) for each in (packed, plain)), tolerance=0.05)


def test_a_gradient_goes_through_to_the_input(pair):
    found = []
    for model in pair:
        hidden = torch.ones(3, 32, requires_grad=True)
        chosen, shares = torch.tensor([[0, 1], [1, 2], [0, 5]]), torch.full((3, 2), 0.5)
        experts_of(model)(hidden, chosen, shares).sum().backward()
        found.append(hidden.grad)
    close(found[1], found[0])
