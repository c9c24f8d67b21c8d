"""LoRA adapters: merged as PEFT applies them, under the model's names and under the published ones, or refused."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM

import dus
from dus.denoisers import DenoiserError, LladaConfig, LladaForMaskedLM, NativeLM, load
from dus.denoisers.packed import PackedLinear

from .conftest import TINY
from .test_families import tiny
from .test_load import add_tokenizer

CANVAS, READ = torch.arange(20).view(2, 10), torch.arange(10)
PUBLISHED = {
    "self_attn.q_proj": "q_proj",
    "self_attn.o_proj": "attn_out",
    "mlp.gate_proj": "ff_proj",
    "mlp.down_proj": "ff_out",
}
_LAYER = "base_model.model.model.layers."


def close(got, expected):
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def adapted(folder, **lora):
    """A plain model of the checkpoint with a random adapter of PEFT around it."""
    torch.manual_seed(1)
    model = get_peft_model(AutoModelForMaskedLM.from_pretrained(folder, dtype="float32"), LoraConfig(r=4, **lora))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def logits(model):
    return NativeLM(model).logits(CANVAS, read=READ)


def edit(folder, **changes):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def rewrite(folder, change):
    file = folder / "adapter_model.safetensors"
    save_file({change(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


def as_published(name):
    """The name of an adapter's weight as LLaDA's own code would have made it."""
    layer, _, rest = name.removeprefix(_LAYER).partition(".")
    ours, _, kind = rest.partition(".lora_")
    return f"base_model.model.model.transformer.blocks.{layer}.{PUBLISHED[ours]}.lora_{kind}"


@pytest.fixture
def adapter(folder, tmp_path):
    """A folder with an adapter of four kinds of layers, and the logits that PEFT gives with it."""
    model = adapted(folder, target_modules=["q_proj", "o_proj", "gate_proj", "down_proj"], lora_alpha=8)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", logits(model)


def complaint(path, **options):
    with pytest.raises(DenoiserError) as raised:
        load(path, device="cpu", dtype="float32", **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_adapter_is_merged_before_the_weights_are_packed(folder, adapter):
    where, expected = adapter
    for told in ({"path_or_hub_id": where}, {"path_or_hub_id": folder, "adapter": where}):
        denoiser = load(**told, device="cpu", dtype="float32")
        close(denoiser.logits(CANVAS, read=READ), expected)
        assert type(denoiser.model) is LladaForMaskedLM
        assert type(denoiser.model.model.layers[0].self_attn.q_proj) is PackedLinear
    plain = load(folder, device="cpu", dtype="float32").logits(CANVAS, read=READ)
    assert (plain - expected).abs().max() > 0.01 * expected.abs().max()


def test_published_names_find_their_layers(folder, adapter):
    where, expected = adapter
    rewrite(where, as_published)
    edit(where, target_modules=["q_proj", "attn_out", "ff_proj", "ff_out"])
    close(load(folder, adapter=where, device="cpu", dtype="float32").logits(CANVAS, read=READ), expected)


def test_ranks_and_scales_of_single_layers_are_kept(folder, tmp_path):
    told = {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"layers.1.mlp.down_proj": 32, "q_proj": 1}}
    model = adapted(folder, target_modules=["q_proj", "down_proj"], lora_alpha=8, use_rslora=True, **told)
    model.save_pretrained(tmp_path / "one")
    close(load(tmp_path / "one", device="cpu", dtype="float32").logits(CANVAS, read=READ), logits(model))
    rewrite(tmp_path / "one", as_published)
    edit(tmp_path / "one", alpha_pattern={"blocks.1.ff_out": 32, "q_proj": 1}, rank_pattern={"ff_out": 2})
    close(load(tmp_path / "one", device="cpu", dtype="float32").logits(CANVAS, read=READ), logits(model))


def test_dora_heads_and_whole_modules(folder, tmp_path):
    model = adapted(folder, target_modules=["q_proj", "lm_head"], use_dora=True, modules_to_save=["norm"])
    with torch.no_grad():
        model.base_model.model.model.norm.modules_to_save["default"].weight.mul_(1.5)
    model.save_pretrained(tmp_path / "one")
    close(load(tmp_path / "one", device="cpu", dtype="float32").logits(CANVAS, read=READ), logits(model))


def test_a_head_that_shares_the_embedding_is_adapted_alone(tmp_path):
    torch.manual_seed(0)
    LladaForMaskedLM(LladaConfig(**{**TINY, "weight_tying": True})).save_pretrained(tmp_path / "tied")
    model = adapted(tmp_path / "tied", target_modules=["lm_head"])
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    denoiser = load(tmp_path / "adapter", device="cpu", dtype="float32")
    close(denoiser.logits(CANVAS, read=READ), logits(model))
    denoiser.model.save_pretrained(tmp_path / "merged")
    close(load(tmp_path / "merged", device="cpu", dtype="float32").logits(CANVAS, read=READ), logits(model))


def test_one_published_matrix_for_queries_keys_and_values(tmp_path):
    """A LoRA of `query_key_value` is one of the three that the model has, with the rows of each."""
    tiny("llada2_moe").save_pretrained(tmp_path / "model")
    drawn = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=drawn), torch.randn(64, 2, generator=drawn)
    (tmp_path / "adapter").mkdir()
    name = "base_model.model.model.layers.1.attention.query_key_value.lora_"
    save_file({f"{name}A.weight": down, f"{name}B.weight": up}, tmp_path / "adapter" / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["query_key_value"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    before, after = (
        load(tmp_path / "model", dtype="float32", device="cpu", **how).model.model.layers[1].self_attn
        for how in ({}, {"adapter": tmp_path / "adapter"})
    )
    whole = [torch.cat([layer.q_proj.weight, layer.k_proj.weight, layer.v_proj.weight]) for layer in (before, after)]
    torch.testing.assert_close(whole[1] - whole[0], 3 * up @ down, atol=1e-4, rtol=1e-4)


def test_a_quantized_model_has_its_adapter_merged_first(folder, adapter):
    where, expected = adapter
    got = load(folder, adapter=where, device="cpu", dtype="float32", quantize="int8").logits(CANVAS, read=READ)
    assert 1e-5 < float((got - expected).norm() / expected.norm()) < 0.04


def test_a_model_with_an_adapter_around_it_decodes_as_the_merged_one(folder, adapter):
    where, expected = adapter
    for plain in (
        AutoModelForMaskedLM.from_pretrained(folder, dtype="float32"),
        load(folder, device="cpu", dtype="float32").model,
    ):
        around = NativeLM(PeftModel.from_pretrained(plain, where).eval())
        close(around.logits(CANVAS, read=READ), expected)
        merged = load(where, device="cpu", dtype="float32")
        for cache in ("none", "dual"):
            asked = {"max_new_tokens": 16, "block_length": 8, "cache": cache}
            told = [dus.generate(model, CANVAS, **asked).tokens for model in (around, merged)]
            assert all(map(torch.equal, *told))


def test_weights_without_a_place_are_an_error(folder, adapter):
    where, _ = adapter
    rewrite(where, lambda name: name.replace("layers.1.mlp.down_proj", "layers.7.mlp.down_proj"))
    assert "model.layers.7.mlp.down_proj.lora_A.weight" in complaint(where)
    assert "which the model has no place for" in complaint(where)
    rewrite(where, lambda name: name.replace("layers.7.mlp.down_proj", "layers.1.mlp.experts.3.down_proj"))
    assert "which the model has no place for" in complaint(folder, adapter=where)


def test_an_adapter_that_lacks_a_weight(adapter):
    where, _ = adapter
    file = where / "adapter_model.safetensors"
    tensors = load_file(file)
    kept = {name: tensor for name, tensor in tensors.items() if "layers.1.mlp.down_proj.lora_B" not in name}
    save_file(kept, file)
    assert "lacks" in complaint(where)
    save_file({name: tensor[:1] if "lora_A" in name else tensor for name, tensor in tensors.items()}, file)
    assert "cannot be merged" in complaint(where)
    save_file({}, file)
    assert "holds no weights" in complaint(where)
    file.write_bytes(b"")
    assert "damaged or incomplete" in complaint(where)
    file.unlink()
    assert "has no adapter_model.safetensors" in complaint(where)


def test_configurations_of_adapters(folder, adapter, monkeypatch):
    where, _ = adapter
    edit(where, base_model_name_or_path=None)
    assert "names no model that it adapts" in complaint(where)
    edit(where, peft_type="LOHA")
    assert "of the type LOHA: only LORA" in complaint(folder, adapter=where)
    edit(where, peft_type="LORA")
    assert "is an adapter itself" in complaint(where, adapter=where)
    assert "has no adapter_config.json" in complaint(folder, adapter=folder)
    monkeypatch.setattr("dus.denoisers.adapters.find_spec", lambda name: None)
    assert "pip install 'dus-lm[peft]'" in complaint(folder, adapter=where)
    (where / "adapter_config.json").write_text("{")
    assert "is not valid JSON" in complaint(folder, adapter=where)


def test_a_folder_with_a_model_and_an_adapter(folder, adapter):
    where, _ = adapter
    (folder / "adapter_config.json").write_bytes((where / "adapter_config.json").read_bytes())
    assert "holds a whole model and an adapter" in complaint(folder)


def test_the_adapters_tokenizer_comes_first_and_has_to_fit(folder, adapter):
    where, _ = adapter
    add_tokenizer(folder, eos_token="<eos>")
    assert load(where, device="cpu").tokenizer.pad_token is None
    add_tokenizer(where, eos_token="<eos>", pad_token="<pad>")
    assert load(where, device="cpu").tokenizer.pad_token == "<pad>"
    tokenizer = load(where, device="cpu").tokenizer
    tokenizer.add_tokens([f"<new{i}>" for i in range(60)])
    tokenizer.save_pretrained(where)
    assert "adapters that add tokens are not supported" in complaint(where)


def test_an_adapter_of_the_input_is_refused(folder):
    plain = AutoModelForMaskedLM.from_pretrained(folder, dtype="float32")
    told = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(DenoiserError, match="PROMPT_TUNING adapts a model's input and not its layers"):
        NativeLM(get_peft_model(plain, told))
