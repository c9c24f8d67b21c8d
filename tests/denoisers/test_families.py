"""The families as transformers models: configurations, weight names, auto classes, losses."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from dus.denoisers import (
    DenoiserError,
    DreamConfig,
    DreamForMaskedLM,
    DreamTokenizer,
    LladaConfig,
    LladaForMaskedLM,
    MaskedLM,
    NativeLM,
    load,
)
from dus.denoisers.a2d import (
    A2dLlamaConfig,
    A2dLlamaForMaskedLM,
    A2dQwen2Config,
    A2dQwen2ForMaskedLM,
    A2dQwen3Config,
    A2dQwen3ForMaskedLM,
)
from dus.denoisers.fast_dllm import FastDllmConfig, FastDllmForMaskedLM
from dus.denoisers.known import FAMILIES as KNOWN
from dus.denoisers.llada2 import Llada2Config, Llada2ForMaskedLM
from dus.denoisers.llada_moe import LladaMoeConfig, LladaMoeForMaskedLM
from dus.denoisers.nemotron import NemotronConfig, NemotronForMaskedLM
from dus.denoisers.sdar import SdarConfig, SdarForMaskedLM, SdarMoeConfig, SdarMoeForMaskedLM

from .conftest import family

FAMILIES = {
    "llada": (LladaConfig, LladaForMaskedLM),
    "lladamoe": (LladaMoeConfig, LladaMoeForMaskedLM),
    "llada2_moe": (Llada2Config, Llada2ForMaskedLM),
    "Dream": (DreamConfig, DreamForMaskedLM),
    "sdar": (SdarConfig, SdarForMaskedLM),
    "sdar_moe": (SdarMoeConfig, SdarMoeForMaskedLM),
    "a2d-llama": (A2dLlamaConfig, A2dLlamaForMaskedLM),
    "a2d-qwen2": (A2dQwen2Config, A2dQwen2ForMaskedLM),
    "a2d-qwen3": (A2dQwen3Config, A2dQwen3ForMaskedLM),
    "Fast_dLLM_Qwen": (FastDllmConfig, FastDllmForMaskedLM),
    "nemotron_labs_diffusion": (NemotronConfig, NemotronForMaskedLM),
}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "vocab_size": 64,
    "max_position_embeddings": 96,
    "mask_token_id": 2,
    "eos_token_id": 4,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
OF_FAMILY = {
    "lladamoe": {"num_experts": 6, **EXPERTS},
    "sdar_moe": {"num_experts": 6, **EXPERTS},
    "llada2_moe": {"n_routed_experts": 6, "n_group": 2, "topk_group": 1, **EXPERTS},
}


def tiny(name):
    """A model of a family with random weights, norms and biases too."""
    torch.manual_seed(0)
    config_class, model_class = FAMILIES[name]
    model = model_class(config_class(**SIZES, **OF_FAMILY.get(name, {}))).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def weights(folder):
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def published(folder):
    return json.loads((folder / "config.json").read_text())


def test_auto_classes_know_the_families(golden):
    config_class, model_class = FAMILIES[family(golden)]
    assert type(AutoConfig.from_pretrained(golden)) is config_class
    model = AutoModelForMaskedLM.from_pretrained(golden, device_map="cpu")
    assert type(model) is model_class
    assert model.config.is_causal is False
    assert model.config._attn_implementation == "sdpa"
    sharded = "mlp.shared_experts.up_proj" if family(golden) == "llada2_moe" else "self_attn.q_proj"
    assert model.tp_plan[f"model.layers.*.{sharded}"] == "colwise"


@pytest.mark.parametrize("name", KNOWN)
def test_every_family_is_saved_in_its_format_and_loads_again(name, tmp_path):
    """Through `load` and through plain transformers: the same configuration and the same logits."""
    model = tiny(name)
    model.save_pretrained(tmp_path)
    saved = weights(tmp_path)
    assert not any("stacked" in key or "gate_up" in key or ".experts.down_proj" in key for key in saved)
    config = published(tmp_path)
    assert config["model_type"] == ("llada" if name == "lladamoe" else name)
    assert "is_causal" not in config
    again = AutoModelForMaskedLM.from_pretrained(tmp_path, dtype="float32").eval()
    assert type(again) is type(model)
    before, after = model.config.to_dict(), again.config.to_dict()
    for key in before.keys() - {"_name_or_path", "architectures", "dtype", "transformers_version"}:
        assert after[key] == before[key]
    canvas = torch.arange(24).view(2, 12)
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=canvas).logits, model(input_ids=canvas).logits)
    native = NativeLM(again)
    loaded = load(tmp_path, dtype="float32", device="cpu")
    read = torch.arange(12)
    assert (loaded.block_length, loaded.shift) == (native.block_length, model.shift)
    expected = native.logits(canvas, read=read)
    assert (loaded.logits(canvas, read=read) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("llada2_moe", "attention.query_key_value.weight", "mlp.experts.3.gate_proj.weight"),
        ("lladamoe", "self_attn.q_norm.weight", "mlp.experts.5.down_proj.weight"),
        ("sdar_moe", "self_attn.q_norm.weight", "mlp.experts.0.up_proj.weight"),
    ],
)
def test_published_names_of_the_weights(name, old, new, tmp_path):
    tiny(name).save_pretrained(tmp_path)
    layer = "model.layers.1."
    assert {layer + old, layer + new} <= weights(tmp_path).keys()


def test_nemotron_keeps_its_names_and_sees_finished_blocks_causally(tmp_path):
    model = tiny("nemotron_labs_diffusion")
    model.save_pretrained(tmp_path)
    names = weights(tmp_path).keys()
    assert {"encoder.embed_tokens.weight", "encoder.layers.0.self_attn.q_proj.weight", "diffusion_head.weight"} <= names
    denoiser = load(tmp_path, dtype="float32", device="cpu", block_length=4)
    canvas = torch.arange(5, 15)[None]
    mask = torch.ones(10, 10, dtype=torch.bool).tril()
    mask[8:, 8:] = True
    with torch.no_grad():
        expected = model(input_ids=canvas, attention_mask=mask[None, None]).logits
    torch.testing.assert_close(denoiser.logits(canvas, read=torch.arange(10)), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", ["llada", "lladamoe", "Dream"])
def test_full_attention_has_no_block(name, tmp_path):
    tiny(name).save_pretrained(tmp_path)
    with pytest.raises(DenoiserError, match="attends to the whole canvas: block_length=8 has no meaning"):
        load(tmp_path, device="cpu", block_length=8)


@pytest.mark.parametrize("block_length", [0, -3, True, 2.5])
def test_a_block_is_a_positive_number(block_length, tmp_path):
    tiny("a2d-llama").save_pretrained(tmp_path)
    with pytest.raises(DenoiserError, match=r"block_length is .*: it has to be an int, at least 1"):
        load(tmp_path, device="cpu", block_length=block_length)


@pytest.mark.parametrize("name", ["a2d-llama", "sdar", "llada2_moe", "Fast_dLLM_Qwen"])
def test_the_block_is_the_configurations_and_is_saved(name, tmp_path):
    tiny(name).save_pretrained(tmp_path / "first")
    load(tmp_path / "first", device="cpu", block_length=6).model.save_pretrained(tmp_path / "second")
    assert load(tmp_path / "second", device="cpu").block_length == 6


REFUSED = [
    ("lladamoe", "shared_expert_intermediate_size", 8),
    ("lladamoe", "moe_router_enable_expert_bias", True),
    ("lladamoe", "qk_layernorm", False),
    ("lladamoe", "norm_topk_prob", True),
    ("llada2_moe", "use_bias", True),
    ("llada2_moe", "score_function", "softmax"),
    ("llada2_moe", "use_qk_norm", False),
    ("llada2_moe", "norm_topk_prob", False),
    ("sdar", "use_sliding_window", True),
    *((name, "layer_types", ["sliding_attention"]) for name in ("sdar", "a2d-qwen2", "a2d-qwen3", "Dream")),
    ("nemotron_labs_diffusion", "dlm_paradigm", "autoregressive"),
]


@pytest.mark.parametrize(("name", "key", "value"), REFUSED)
def test_options_that_a_family_does_not_have_are_refused(name, key, value):
    with pytest.raises(DenoiserError, match=key):
        FAMILIES[name][0](**{key: value})


def test_saving_gives_back_the_published_tensors_under_their_names(golden, tmp_path):
    load(golden, dtype="float32", device="cpu").model.save_pretrained(tmp_path)
    before, after = weights(golden), weights(tmp_path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_shards_round_trip(golden, tmp_path, reference):
    model = load(golden, dtype="float32", device="cpu")
    model.model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    canvas, _ = reference
    again = load(tmp_path, dtype="float32", device="cpu")
    read = torch.arange(canvas.shape[1])
    assert torch.equal(again.logits(canvas, read=read), model.logits(canvas, read=read))


def test_saving_gives_back_the_published_configuration(golden, tmp_path):
    AutoConfig.from_pretrained(golden).save_pretrained(tmp_path)
    before, after = published(golden), published(tmp_path)
    if family(golden) == "llada":
        ours = {"torch_dtype", "dtype", "transformers_version", "use_cache", "vocab_size"}
        for key in before.keys() - ours:
            assert before[key] is None or after[key] == before[key]
        assert not {"hidden_size", "num_hidden_layers", "num_attention_heads"} & after.keys()  # no setters there
        assert after["vocab_size"] == after["embedding_size"]
    if family(golden) not in ("llada", "Dream"):
        for key in before.keys() - {"transformers_version", "use_cache", "layer_types"}:
            assert before[key] is None or after.get(key, before[key]) == before[key]
    for key in ("rope_theta", "mask_token_id", "architectures", "model_type", "rms_norm_eps"):
        assert after[key] == before[key]
    again, first = (AutoConfig.from_pretrained(folder).to_dict() for folder in (tmp_path, golden))
    assert again | {"_name_or_path": ""} == first | {"_name_or_path": ""}


@pytest.mark.parametrize("config_class", [LladaConfig, DreamConfig])
def test_a_configuration_survives_its_own_dict(config_class):
    config = config_class(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, mask_token_id=5)
    assert config_class(**config.to_dict()).to_dict() == config.to_dict()


@pytest.mark.parametrize("config_class", [LladaConfig, DreamConfig])
def test_a_scaled_rope_is_not_lost(config_class, tmp_path):
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5}
    config_class(rope_parameters=dict(rope)).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == rope


def test_llada_reads_its_own_keys():
    config = LladaConfig(
        d_model=64,
        n_layers=3,
        n_heads=4,
        n_kv_heads=None,
        mlp_hidden_size=None,
        mlp_ratio=3,
        vocab_size=90,
        embedding_size=96,
        max_sequence_length=77,
        weight_tying=True,
        rope_theta=1234.0,
        rms_norm_eps=1e-3,
    )
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 3, 4)
    assert (config.num_key_value_heads, config.head_dim, config.intermediate_size) == (4, 16, 192)
    assert (config.vocab_size, config.max_position_embeddings, config.tie_word_embeddings) == (96, 77, True)
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 1234.0}
    assert (config.d_model, config.n_layers, config.embedding_size, config.rms_norm_eps) == (64, 3, 96, 1e-3)
    assert LladaConfig(d_model=64, n_heads=4, multi_query_attention=True).num_key_value_heads == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alibi", True),
        ("block_type", "sequential"),
        ("layer_norm_type", "default"),
        ("activation_type", "swiglu"),
        ("rope", False),
        ("include_bias", True),
        ("include_qkv_bias", True),
        ("bias_for_layer_norm", True),
        ("input_emb_norm", True),
        ("scale_logits", True),
        ("attention_layer_norm", True),
        ("block_group_size", 4),
    ],
)
def test_llada_refuses_what_is_no_llama(key, value):
    with pytest.raises(DenoiserError, match=f"{key}={value!r}"):
        LladaConfig(**{"d_model": 64, key: value})
    LladaConfig(**{"d_model": 64, key: None})


def test_dream_refuses_a_sliding_window():
    with pytest.raises(DenoiserError, match="use_sliding_window"):
        DreamConfig(use_sliding_window=True, sliding_window=16)


def test_tied_weights(tmp_path):
    torch.manual_seed(0)
    config = LladaConfig(d_model=32, n_layers=1, n_heads=2, mlp_hidden_size=48, vocab_size=64, weight_tying=True)
    model = LladaForMaskedLM(config).eval()
    model.save_pretrained(tmp_path)
    names = weights(tmp_path).keys()
    assert "model.transformer.wte.weight" in names
    assert "model.transformer.ff_out.weight" not in names
    again = load(tmp_path, dtype="float32", device="cpu", mask_token_id=1)
    canvas = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(again.logits(canvas, read=torch.arange(20)), model(input_ids=canvas).logits)


@pytest.mark.parametrize(("config_class", "model_class"), FAMILIES.values())
def test_losses_fit_the_rows(config_class, model_class):
    """LLaDA's row i is scored against label i, Dream's against label i + 1; end tokens learn though they pad."""
    torch.manual_seed(0)
    config = config_class(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=48,
        vocab_size=64,
        mask_token_id=2,
        pad_token_id=4,
    )
    model = model_class(config)
    canvas = torch.randint(5, 64, (2, 9))
    out = model(input_ids=canvas, labels=canvas)
    rows, labels = (out.logits[:, :-1], canvas[:, 1:]) if model.shift else (out.logits, canvas)
    torch.testing.assert_close(out.loss, torch.nn.functional.cross_entropy(rows.flatten(0, 1), labels.flatten()))


def test_llada_learns_its_padding_token():
    model = LladaForMaskedLM(LladaConfig(d_model=32, n_layers=1, n_heads=2, vocab_size=64, pad_token_id=4))
    model(input_ids=torch.tensor([[4, 7]]), labels=torch.tensor([[4, 7]])).loss.backward()
    assert model.model.embed_tokens.weight.grad[4].abs().sum() > 0


def test_dream_reads_its_own_row_first_and_the_row_before_later(dream):
    denoiser = load(dream, dtype="float32", device="cpu")
    canvas = torch.arange(12)[None] % denoiser.vocab_size
    with torch.no_grad():
        raw = denoiser.model(input_ids=canvas).logits[0]
    logits = denoiser.logits(canvas, read=torch.arange(12))[0]
    assert torch.equal(logits[0], raw[0])
    torch.testing.assert_close(logits[1:], raw[:-1], atol=1e-6, rtol=1e-6)


def test_dream_in_a_wrapper_for_any_model_is_shifted_too(dream):
    native = load(dream, dtype="float32", device="cpu", pack=False)
    model = native.model
    model.config.is_causal = False
    canvas = torch.arange(24).view(2, 12) % native.vocab_size
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, :4] = False
    read = torch.arange(4, 12)
    for wrapped in (MaskedLM(model, mask_token_id=2), MaskedLM(model, mask_token_id=2, shift=1)):
        assert wrapped.shift == 1
        for told in (None, mask):
            got, expected = (each.logits(canvas, read=read, attention_mask=told) for each in (wrapped, native))
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(DenoiserError, match="shift=0 is not DreamForMaskedLM's, which is 1"):
        load(dream, shift=0)


def test_the_body_compiles_whole(golden, reference):
    denoiser = load(golden, dtype="float32", device="cpu")
    if family(golden) in OF_FAMILY:
        pytest.skip("how many tokens go to an expert is not known when code is generated")
    canvas, _ = reference
    expected = denoiser.logits(canvas, read=torch.arange(4))
    denoiser.model.model.compile(fullgraph=True, backend="eager")
    assert torch.equal(denoiser.logits(canvas, read=torch.arange(4)), expected)


def test_dream_tokenizer_needs_no_remote_code(tmp_path):
    """Dream's folders name a tokenizer class in their own code, and have no tokenizer.json."""
    letters = {letter: i for i, letter in enumerate("abcdeĠ")}
    (tmp_path / "vocab.json").write_text(json.dumps(letters | {"ab": 6, "<|endoftext|>": 7, "<|im_end|>": 8}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    DreamConfig(vocab_size=16, mask_token_id=9).save_pretrained(tmp_path)
    special = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    names = {"7": "<|endoftext|>", "8": "<|im_end|>", "9": "<|mask|>"}
    tokenizer_config = {
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
        "added_tokens_decoder": {i: {"content": name, **special} for i, name in names.items()},
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "mask_token": "<|mask|>",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is DreamTokenizer
    ids = tokenizer("ab cab<|mask|>")["input_ids"]
    assert ids == [6, 5, 2, 6, 9]
    assert tokenizer.decode(ids) == "ab cab<|mask|>"
    small = DreamConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        intermediate_size=8,
        vocab_size=16,
    )
    wrapped = NativeLM(DreamForMaskedLM(small), tokenizer)
    assert (wrapped.mask_token_id, wrapped.eos_token_ids) == (9, (7, 8))
