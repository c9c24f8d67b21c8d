"""Packed layers do what plain layers do: they are written to, trained, moved, loaded into, counted and adapted."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForMaskedLM

from dus.denoisers import LladaConfig, LladaForMaskedLM, NativeLM, load
from dus.denoisers.packed import PackedLinear, PackedWeight, pack, packable

from .conftest import TINY

CANVAS, READ = torch.arange(20).view(2, 10), torch.arange(10)
VALUES = torch.arange(48.0).view(6, 8) / 48
WRITES = {
    "zero_": lambda weight: weight.zero_(),
    "data": lambda weight: weight.data.add_(VALUES),
    "data +=": lambda weight: setattr(weight, "data", weight.data.__iadd__(VALUES)),
    "item": lambda weight: weight.__setitem__((2, 3), 5.0),
    "row": lambda weight: weight[4].fill_(3.0),
    "transposed": lambda weight: weight.T[1:3].mul_(-2.0),
    "split": lambda weight: weight.chunk(2)[1].copy_(VALUES[:3]),
    "mask": lambda weight: weight.__setitem__(VALUES > 0.4, 0.5),
    "init": lambda weight: nn.init.constant_(weight, 0.25),
    "out": lambda weight: torch.add(VALUES, 1, out=weight),
    "foreach": lambda weight: torch._foreach_mul_([weight], 3.0),
    "detached": lambda weight: weight.detach().view(-1)[::5].neg_(),
}


def two(**options):
    torch.manual_seed(0)
    plain = nn.Linear(8, 6, **options)
    return plain, PackedLinear(copy.deepcopy(plain))


def assert_same(plain, packed):
    hidden = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    assert isinstance(packed.weight, PackedWeight)
    assert torch.equal(packed.weight, plain.weight)
    assert torch.equal(packed.weight.store.packed.to_dense(), plain.weight)
    with torch.no_grad():
        torch.testing.assert_close(packed(hidden), plain(hidden), atol=1e-4, rtol=1e-4)


@given(st.lists(st.sampled_from(sorted(WRITES)), min_size=1, max_size=4))
def test_what_is_written_is_computed_with(names):
    plain, packed = two()
    with torch.no_grad():
        for name in names:
            for layer in (plain, packed):
                WRITES[name](layer.weight)
    assert_same(plain, packed)


def test_views_and_the_weight_see_what_is_written_to_each_other():
    plain, packed = two()
    with torch.no_grad():
        rows = [layer.weight[1] for layer in (plain, packed)]
        for layer, row in zip((plain, packed), rows, strict=True):
            layer.weight.mul_(2)
            row.add_(1)
            layer.weight[1, 0] = 9.0
    assert torch.equal(*rows)
    assert_same(plain, packed)


def test_a_packed_weight_is_not_trained_in_silence():
    _, packed = two()
    assert [parameter.requires_grad for parameter in packed.parameters()] == [False, True]
    packed.requires_grad_(True)
    with pytest.raises(RuntimeError, match="load the model with pack=False"):
        packed(torch.ones(2, 8))
    with torch.no_grad():
        packed(torch.ones(2, 8))


def test_parameters_are_counted_and_named_as_of_a_plain_model(folder):
    plain, packed = (load(folder, dtype="float32", device="cpu", pack=pack).model for pack in (False, True))
    assert type(plain.model.layers[0].mlp.up_proj) is nn.Linear
    assert type(packed.model.layers[0].mlp.up_proj) is PackedLinear
    ours, theirs = dict(packed.named_parameters()), dict(plain.named_parameters())
    assert [(name, p.shape, p.dtype) for name, p in ours.items()] == [(n, p.shape, p.dtype) for n, p in theirs.items()]
    assert packed.num_parameters() == plain.num_parameters()
    assert packed.get_memory_footprint() == plain.get_memory_footprint()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_state_dict_is_loaded(folder):
    model, other = (load(folder, dtype="float32", device="cpu").model for _ in range(2))
    state = {name: tensor + 0.1 for name, tensor in model.state_dict().items()}
    for strict, into in ((True, model), (False, other)):
        into.load_state_dict(state, strict=strict)
        assert all(torch.equal(tensor, state[name]) for name, tensor in into.state_dict().items())
    plain = load(folder, dtype="float32", device="cpu", pack=False)
    plain.model.load_state_dict(state)
    got, expected = (NativeLM(each).logits(CANVAS, read=READ) for each in (model, plain.model))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_packed_model_goes_to_another_type(folder, dtype):
    packed, plain = (load(folder, dtype="float32", device="cpu", pack=pack).model.to(dtype) for pack in (True, False))
    assert {parameter.dtype for parameter in packed.parameters()} == {dtype}
    kind = PackedLinear if packable(nn.Parameter(torch.ones(2, 2, dtype=dtype))) else nn.Linear
    assert type(packed.model.layers[0].mlp.up_proj) is kind
    got, expected = (NativeLM(model).logits(CANVAS, read=READ) for model in (packed, plain))
    assert (got - expected).abs().max() < 0.05 * expected.abs().max()
    back = packed.to(torch.float32)
    assert {parameter.dtype for parameter in back.parameters()} == {torch.float32}


def test_a_packed_model_goes_to_another_device(folder):
    model = load(folder, dtype="float32", device="cpu").model.to("meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert type(model.model.layers[0].mlp.up_proj) is nn.Linear


def test_another_weight_takes_the_place_of_a_packed_one():
    plain, packed = two()
    for layer in (plain, packed):
        layer.weight = nn.Parameter(VALUES.clone())
    hidden = torch.ones(2, 8)
    torch.testing.assert_close(packed(hidden), plain(hidden), atol=1e-4, rtol=1e-4)
    assert torch.equal(copy.deepcopy(packed).weight, VALUES)


def test_data_of_another_shape_or_type_is_refused():
    _, packed = two()
    for data in (torch.zeros(8, 6), VALUES.double()):
        with pytest.raises(TypeError, match="set layer"):
            packed.weight.data = data
    plain = nn.Parameter(torch.zeros(6, 8))
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        plain.data = packed.weight
    plain.data = packed.weight + 0
    assert torch.equal(plain, packed.weight)


def test_a_shared_weight_follows_what_is_written_to_it():
    torch.manual_seed(0)
    model = LladaForMaskedLM(LladaConfig(**{**TINY, "weight_tying": True})).eval()
    plain = copy.deepcopy(model)
    pack(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.num_parameters() == plain.num_parameters()
    with torch.no_grad():
        for each in (model, plain):
            each.model.embed_tokens.weight.mul_(1.5)
            each.lm_head.weight[3] = 0.0
        torch.testing.assert_close(model(input_ids=CANVAS).logits, plain(input_ids=CANVAS).logits)
    for dtype in (torch.bfloat16, torch.float64):
        model.to(dtype)
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert model(input_ids=CANVAS).logits.dtype is dtype


def test_an_adapter_is_wrapped_around_a_packed_model_trained_and_merged(folder):
    plain, packed = (load(folder, dtype="float32", device="cpu", pack=pack).model for pack in (False, True))
    before = NativeLM(plain).logits(CANVAS, read=READ)
    found = []
    for model in (plain, packed):
        torch.manual_seed(0)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
        optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=10.0)
        for _ in range(2):
            adapted(input_ids=CANVAS, labels=CANVAS).loss.backward()
            optimizer.step()
        adapted.eval()
        apart = NativeLM(adapted).logits(CANVAS, read=READ)
        merged = adapted.merge_and_unload()
        found += [apart, NativeLM(merged).logits(CANVAS, read=READ)]
    assert (found[0] - before).abs().max() > 0.01 * before.abs().max()
    for got in found[1:]:
        torch.testing.assert_close(got, found[0], atol=1e-4, rtol=1e-3)
    assert type(merged.model.layers[0].mlp.down_proj) is PackedLinear


def test_a_saved_model_is_what_was_written(folder, tmp_path):
    model = load(folder, dtype="float32", device="cpu").model
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.save_pretrained(tmp_path / "zero")
    assert not AutoModelForMaskedLM.from_pretrained(tmp_path / "zero").lm_head.weight.any()
