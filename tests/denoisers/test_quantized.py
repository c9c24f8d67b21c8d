"""Eight-bit weights: what they take, how near the logits stay, and what is refused."""

import json
from importlib.util import find_spec

import pytest
import torch

import dus
from dus.denoisers import DenoiserError, LladaForMaskedLM, load, quantized
from dus.denoisers.known import FAMILIES
from dus.denoisers.quantized import weight_bytes

from .test_families import tiny


def rounded(weight):
    """A weight through 256 levels a row, between minus and plus its largest magnitude: the reference."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 127.5
    return (weight / scale).round().clamp(-128, 127) * scale


@pytest.fixture(scope="module")
def bundled():
    return {name: load(dtype="float32", device="cpu", quantize=name) for name in (None, "int8")}


def test_a_layer_computes_with_weights_rounded_row_by_row(folder):
    plain, eight = (load(folder, dtype="float32", device="cpu", quantize=name) for name in (None, "int8"))
    drawn = torch.Generator().manual_seed(0)
    for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"):
        weight = plain.model.get_submodule(f"model.layers.1.{name}").weight
        given = torch.randn(50, weight.shape[1], generator=drawn)
        got, expected = eight.model.get_submodule(f"model.layers.1.{name}")(given), given @ rounded(weight).T
        off = (expected - given @ weight.T).norm() / expected.norm()
        assert 2e-3 < off < 2e-2
        assert (got - expected).norm() / expected.norm() < 2e-3  # what lies between two levels may go to either
    ours, theirs = eight.model.state_dict(), plain.model.state_dict()
    for name in ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"):
        assert torch.equal(ours[name], theirs[name])


def test_linear_layers_take_a_byte_a_weight_and_nothing_else_changes(folder):
    plain, eight = (load(folder, dtype="bfloat16", device="cpu", quantize=name) for name in (None, "int8"))
    assert eight.dtype is torch.bfloat16
    linear = [layer for layer in plain.body.modules() if isinstance(layer, torch.nn.Linear)]
    saved = sum(layer.weight.numel() for layer in linear)
    added = sum(layer.out_features * 5 for layer in linear)  # a scale and a zero point for each row
    assert weight_bytes(plain.model) - weight_bytes(eight.model) == saved - added
    assert weight_bytes(plain.model) >= 2 * sum(weights.numel() for weights in plain.model.parameters())


def test_logits_of_the_bundled_model_stay_near(bundled):
    canvas = torch.randint(2, 998, (4, 60), generator=torch.Generator().manual_seed(0))
    plain, eight = (model.logits(canvas, read=torch.arange(60)) for model in bundled.values())
    assert 1e-5 < float((plain - eight).norm() / plain.norm()) < 0.04


@pytest.mark.parametrize("cache", ["none", "touched"])
def test_the_bundled_model_writes_mostly_the_same_tokens(bundled, cache):
    prompts = [f"Tom has {count} apples and buys 7 more. How many apples does Tom have now?" for count in range(3, 19)]
    asked = {"max_new_tokens": 32, "block_length": 16, "eos": "ignore", "cache": cache, "scores": False}
    plain, eight = (dus.generate(model, prompts, **asked) for model in bundled.values())
    same = [(one == other).float().mean() for one, other in zip(plain.tokens, eight.tokens, strict=True)]
    assert float(torch.stack(same).mean()) > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_eight_bits(family, tmp_path):
    tiny(family).save_pretrained(tmp_path)
    plain, eight = (load(tmp_path, dtype="float32", device="cpu", quantize=name) for name in (None, "int8"))
    canvas, read = torch.arange(24).view(2, 12), torch.arange(12)
    ours, theirs = (model.logits(canvas, read=read) for model in (eight, plain))
    assert 1e-5 < float((ours - theirs).norm() / theirs.norm()) < 0.1
    assert weight_bytes(eight.model) < weight_bytes(plain.model)


def test_what_is_refused(folder, monkeypatch):
    with pytest.raises(DenoiserError, match="quantize is 'int3', known are int8"):
        load(folder, quantize="int3")
    with pytest.raises(DenoiserError, match="say the same twice"):
        load(folder, quantize="int8", quantization_config=quantized.quantization("int8"))
    monkeypatch.setattr(quantized, "find_spec", lambda name: None)
    with pytest.raises(DenoiserError, match=r"quantize='int8' needs torchao: pip install 'dus\[quantize\]'"):
        load(folder, quantize="int8")


PUBLISHED = {
    "bitsandbytes": {"load_in_4bit": True},
    "gptq": {"bits": 4, "group_size": 16},
    "awq": {"bits": 4, "group_size": 16},
    "compressed-tensors": {"format": "int-quantized", "quantization_status": "compressed"},
}


@pytest.mark.parametrize("method", PUBLISHED)
def test_a_quantized_checkpoint_says_in_a_sentence_what_it_needs(folder, method):
    """Through transformers' own quantizers, whose packages the tests do not need."""
    if find_spec({"gptq": "optimum", "awq": "gptqmodel"}.get(method, method.replace("-", "_"))):
        pytest.skip("its package is installed")
    says(folder, quant_method=method, **PUBLISHED[method])
    with pytest.raises(DenoiserError, match=r"cannot be loaded: .*pip install") as raised:
        load(folder, device="cpu")
    assert "\n" not in str(raised.value)


def says(folder, **quantization):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))


def test_an_unknown_quantization_is_not_passed_over(folder):
    says(folder, quant_method="magic", bits=4)
    with pytest.raises(DenoiserError, match="is quantized by 'magic', and transformers reads aqlm"):
        load(folder, device="cpu")
    says(folder, bits=4)
    with pytest.raises(DenoiserError, match="is quantized by None"):
        load(folder, device="cpu")


def test_a_checkpoint_that_was_saved_quantized_loads_as_it_was(folder, tmp_path):
    """By torchao here; the configuration of the checkpoint alone says so."""
    eight = load(folder, dtype="float32", device="cpu", quantize="int8")
    eight.model.save_pretrained(tmp_path / "eight")
    assert (
        json.loads((tmp_path / "eight" / "config.json").read_text())["quantization_config"]["quant_method"] == "torchao"
    )
    again = load(tmp_path / "eight", dtype="float32", device="cpu")
    canvas, read = torch.arange(20).view(2, 10), torch.arange(10)
    assert torch.equal(again.logits(canvas, read=read), eight.logits(canvas, read=read))
    assert weight_bytes(again.model) == weight_bytes(eight.model)


def test_a_quantizer_that_waits_for_the_whole_models_first_call_gets_it(folder, monkeypatch):
    called = []
    eager = LladaForMaskedLM.from_pretrained.__func__

    def from_pretrained(cls, *args, **kwargs):
        model, report = eager(cls, *args, **kwargs)
        model.register_forward_pre_hook(lambda *args: called.append(1))
        return model, report

    monkeypatch.setattr(LladaForMaskedLM, "from_pretrained", classmethod(from_pretrained))
    load(folder, device="cpu")
    assert called == [1]
