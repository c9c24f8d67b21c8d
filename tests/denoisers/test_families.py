"""The families as transformers models: configurations, weight names, auto classes, losses."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from dus.denoisers import (
    Checkpoint,
    DenoiserError,
    DreamConfig,
    DreamForMaskedLM,
    DreamTokenizer,
    LladaConfig,
    LladaForMaskedLM,
    load,
)

FAMILIES = {"llada": (LladaConfig, LladaForMaskedLM), "Dream": (DreamConfig, DreamForMaskedLM)}


def weights(folder):
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def published(folder):
    return json.loads((folder / "config.json").read_text())


def test_auto_classes_know_the_families(golden):
    config_class, model_class = FAMILIES[published(golden)["model_type"]]
    assert type(AutoConfig.from_pretrained(golden)) is config_class
    model = AutoModelForMaskedLM.from_pretrained(golden, device_map="cpu")
    assert type(model) is model_class
    assert model.config.is_causal is False
    assert model.config._attn_implementation == "sdpa"
    assert model.tp_plan["model.layers.*.self_attn.q_proj"] == "colwise"


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
    if before["model_type"] == "llada":
        ours = {"torch_dtype", "dtype", "transformers_version", "use_cache", "vocab_size"}
        for key in before.keys() - ours:
            assert before[key] is None or after[key] == before[key]
        assert not {"hidden_size", "num_hidden_layers", "num_attention_heads"} & after.keys()  # no setters there
        assert after["vocab_size"] == after["embedding_size"]
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


def test_the_body_compiles_whole(golden, reference):
    denoiser = load(golden, dtype="float32", device="cpu")
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
    wrapped = Checkpoint(DreamForMaskedLM(small), tokenizer)
    assert (wrapped.mask_token_id, wrapped.eos_token_ids) == (9, (7, 8))
