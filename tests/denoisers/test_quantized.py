"""Eight-bit weights: what they take, how near the logits stay, and what is refused."""

import json
from importlib.util import find_spec

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import FineGrainedFP8Config, TorchAoConfig

import dus
from dus.denoisers import DenoiserError, LladaForMaskedLM, load, quantized
from dus.denoisers.known import FAMILIES
from dus.denoisers.names import Names, own_names, published_modules
from dus.denoisers.packed import PackedLinear
from dus.denoisers.quantized import weight_bytes, with_own_names

from .test_families import OF_FAMILY, tiny

from torchao.quantization import Int8WeightOnlyConfig  # isort: skip - after what silences its import


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


@pytest.mark.parametrize("family", OF_FAMILY)
def test_experts_are_rounded_row_by_row_and_saved_as_they_are(family, tmp_path):
    tiny(family).save_pretrained(tmp_path / "plain")
    told = {"dtype": "float32", "device": "cpu"}
    plain, eight = (load(tmp_path / "plain", **told, quantize=name) for name in (None, "int8"))
    for name in ("gate_up_proj", "down_proj"):
        ours, theirs = (getattr(model.model.model.layers[1].mlp.experts, name) for model in (eight, plain))
        assert (ours.dequantize() - torch.stack([rounded(each) for each in theirs])).abs().max() < 2e-2
        assert (ours.qdata.dtype, ours.qdata.shape) == (torch.int8, theirs.shape)
    eight.model.save_pretrained(tmp_path / "eight")
    canvas, read = torch.arange(24).view(2, 12), torch.arange(12)
    expected = eight.logits(canvas, read=read)
    others = [{"pack": False}, {"experts_implementation": "eager"}]
    forms = [load(tmp_path / "plain", **told, quantize="int8", **how) for how in others]
    for again in (load(tmp_path / "eight", **told), *forms):
        assert weight_bytes(again.model) == weight_bytes(eight.model)
        torch.testing.assert_close(again.logits(canvas, read=read), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(DenoiserError, match="experts_implementation='grouped_mm' multiplies plain weights alone"):
        load(tmp_path / "plain", **told, quantize="int8", experts_implementation="grouped_mm")


def test_what_is_refused(folder, monkeypatch):
    with pytest.raises(DenoiserError, match="quantize is 'int3', known are int8"):
        load(folder, quantize="int3")
    with pytest.raises(DenoiserError, match="say the same twice"):
        load(folder, quantize="int8", quantization_config=quantized.quantization("int8"))
    with pytest.raises(DenoiserError, match="quantization_config is 'int8' and no configuration of transformers"):
        load(folder, quantization_config="int8")
    if not torch.accelerator.is_available():
        with pytest.raises(DenoiserError, match=r"cannot be loaded: .*A GPU or XPU is needed for FP8 quantization"):
            load(folder, quantization_config=FineGrainedFP8Config())
    monkeypatch.setattr(quantized, "find_spec", lambda name: None)
    with pytest.raises(DenoiserError, match=r"quantize='int8' needs torchao: pip install 'dus-lm\[quantize\]'"):
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


def kept(denoiser):
    """The layers of the second block that were not quantized."""
    block = denoiser.model.model.layers[1]
    return {name for name, layer in block.named_modules() if type(layer) is PackedLinear}


@pytest.mark.parametrize(
    ("family", "entries", "left"),
    [
        ("llada", ["attn_out"], {"self_attn.o_proj"}),
        ("llada", ["model.transformer.blocks.1.ff_out"], {"mlp.down_proj"}),
        ("llada", ["model.transformer.blocks.0"], set()),
        ("llada", ["model.layers.1.mlp"], {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}),
        ("llada", ["re:.*blocks.1.(q|k)_proj$", "lm_head"], {"self_attn.q_proj", "self_attn.k_proj"}),
        ("sdar", ["model.layers.1.mlp.up_proj", "nowhere"], {"mlp.up_proj"}),
        ("nemotron_labs_diffusion", ["encoder.layers.1.self_attn.q_proj"], {"self_attn.q_proj"}),
    ],
)
def test_modules_that_a_quantizer_leaves_alone_have_their_published_names(family, entries, left, tmp_path):
    """Where the user says so, and where a checkpoint does."""
    tiny(family).save_pretrained(tmp_path / "plain")
    how = TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False), modules_to_not_convert=entries)
    told = {"dtype": "float32", "device": "cpu"}
    eight = load(tmp_path / "plain", **told, quantization_config=how)
    assert how.modules_to_not_convert == entries
    assert kept(eight) == left
    eight.model.save_pretrained(tmp_path / "eight")
    again = load(tmp_path / "eight", **told)
    assert kept(again) == left
    file = tmp_path / "eight" / "config.json"
    config = json.loads(file.read_text())
    config["quantization_config"]["modules_to_not_convert"] = entries
    file.write_text(json.dumps(config))
    assert kept(load(tmp_path / "eight", **told)) == left
    canvas, read = torch.arange(20).view(2, 10), torch.arange(10)
    assert torch.equal(again.logits(canvas, read=read), eight.logits(canvas, read=read))


@pytest.mark.parametrize("family", ["lladamoe", "llada2_moe"])
def test_what_published_names_mean(family, tmp_path):
    model = tiny(family)
    model.save_pretrained(tmp_path)
    names, published = Names(model), published_modules(tmp_path)
    experts = "model.layers.1.mlp.experts"

    def means(entry, **how):
        return own_names(entry, names, published, **how)

    assert means(experts) == means("re:.*layers.1.*[.]experts[.]") == [experts]
    with pytest.raises(DenoiserError, match=r"means some experts of a layer and not .*: they go together"):
        means(f"{experts}.3.up_proj")
    assert means("model.layers.1.mlp.gate") == ["model.layers.1.mlp.gate"]
    assert means("Linear", exact=True) == ["Linear"]
    assert means("lm_head", exact=True) == ["lm_head"]
    assert means("gate", exact=True) == ["gate"]
    if family == "llada2_moe":
        parts = [f"model.layers.0.self_attn.{part}_proj" for part in "kqv"]
        assert means("model.layers.0.attention.query_key_value", exact=True) == parts
        assert means("model.layers.0.attention.dense") == ["model.layers.0.self_attn.o_proj"]


def test_lists_are_found_in_groups_and_objects(folder):
    group = {"targets": ["re:.*attn_out$", "Linear"], "weights": {"num_bits": 8}}
    told = {"quant_method": "compressed-tensors", "config_groups": {"one": group}, "ignore": ["re:.*ff_proj$"]}
    read = with_own_names(json.loads((folder / "config.json").read_text()) | {"quantization_config": told}, folder)
    found = read["config"].quantization_config
    assert found["config_groups"]["one"]["targets"] == [
        "Linear",
        *(f"model.layers.{n}.self_attn.o_proj" for n in (0, 1)),
    ]
    assert found["ignore"] == [f"model.layers.{n}.mlp.gate_proj" for n in (0, 1)]
    assert told["ignore"] == ["re:.*ff_proj$"]


@pytest.mark.parametrize("key", ["modules_in_block_to_quantize", "dynamic", "block_name_to_quantize"])
def test_names_that_are_not_looked_for_are_refused(key, folder, tmp_path):
    says(folder, quant_method="gptq", bits=4, **{key: ["attn_out"]})
    with pytest.raises(DenoiserError, match=f"The {key} of .*'s quantization names modules, which have other names"):
        load(folder, device="cpu")
    tiny("sdar").save_pretrained(tmp_path / "sdar")  # whose names are those of the model here
    says(tmp_path / "sdar", quant_method="gptq", bits=4, **{key: ["o_proj"]})
    with pytest.raises(DenoiserError, match="pip install"):
        load(tmp_path / "sdar", device="cpu")


def test_a_published_matrix_of_three_is_not_split_where_it_is_quantized(tmp_path):
    tiny("llada2_moe").save_pretrained(tmp_path)
    how = TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))
    with pytest.raises(DenoiserError, match=r"cannot split where it quantizes: load it with quantize='int8'"):
        load(tmp_path, device="cpu", quantization_config=how)
    says(tmp_path, quant_method="fp8", weight_block_size=[128, 128])
    with pytest.raises(DenoiserError, match=r"query_key_value in one matrix, .*: load a checkpoint of plain weights"):
        load(tmp_path, device="cpu")


def test_an_adapter_in_eight_bits_is_saved(folder, tmp_path):
    """It is quantized when it is merged, after the weights were loaded."""
    model = LladaForMaskedLM.from_pretrained(folder, dtype="float32")
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    told = {"dtype": "float32", "device": "cpu"}
    eight = load(folder, adapter=tmp_path / "adapter", quantize="int8", **told)
    eight.model.save_pretrained(tmp_path / "eight")
    canvas, read = torch.arange(20).view(2, 10), torch.arange(10)
    again = load(tmp_path / "eight", **told)
    assert torch.equal(again.logits(canvas, read=read), eight.logits(canvas, read=read))


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
