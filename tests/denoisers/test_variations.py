"""Checkpoints as they might be published, with other options: each computes what a plain transformers model does.

The weights are named and the configurations written here by hand, and not by what saves them.
"""

import json
from functools import reduce

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Glm4MoeConfig,
    Glm4MoeForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

import dus
from dus.denoisers import DenoiserError, load

CANVAS = torch.randint(3, 64, (2, 20), generator=torch.Generator().manual_seed(1))
SIZES = {
    **{"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 8},
    **{"num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128, "rms_norm_eps": 1e-6},
}
TOKENS = {"mask_token_id": 2, "eos_token_id": 1}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "factor": 2.0}


def drawn(network, dtype):
    """Random weights, and routers' biases, that a type can hold."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in (*network.named_parameters(), *network.named_buffers()):
            if "inv_freq" not in name:
                random = torch.randn(weight.shape, generator=generator) * 0.2 + ("norm" in name)
                weight.copy_(random.to(dtype))
    return network.eval()


def one_by_one(network):
    """The weights, experts one by one."""
    named = {}
    for name, weight in network.state_dict().items():
        stem, inside, kind = name.partition(".mlp.experts.")
        for number, expert in enumerate(weight if inside else ()):
            parts = zip(("gate_proj", "up_proj"), expert.chunk(2), strict=True) if "up" in kind else [(kind, expert)]
            named |= {f"{stem}.mlp.experts.{number}.{part}.weight": matrix for part, matrix in parts}
        if not inside:
            named[name] = weight
    return named


def as_llada2(weights):
    """The weights under LLaDA2's names, queries, keys and values in one matrix."""
    names = {"embed_tokens": "word_embeddings", "gate.e_score_correction_bias": "gate.expert_bias"}
    names |= {"self_attn.o_proj": "attention.dense"}
    names |= {"self_attn.q_norm": "attention.query_layernorm", "self_attn.k_norm": "attention.key_layernorm"}
    named = {}
    for name, weight in weights.items():
        if "self_attn.q_proj" in name:
            parts = [weights[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            named[name.replace("self_attn.q_proj", "attention.query_key_value")] = torch.cat(parts)
        elif not any(f"self_attn.{part}_proj" in name for part in "kv"):
            theirs = reduce(lambda told, pair: told.replace(*pair), names.items(), name)
            named[theirs] = weight
    return named


def written(folder, config, weights, *, shards=1, dtype=torch.float32):
    """A checkpoint; several files have an index."""
    kept = {name: weight.to(dtype).contiguous().clone() for name, weight in weights.items() if weight.numel()}
    if config.get("tie_word_embeddings"):
        kept.pop("lm_head.weight", None)
    names, places = sorted(kept), {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors" if shards > 1 else "model.safetensors"
        part = {name: kept[name] for name in names[number::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def compare(folder, plain, *, block, shift=0, **told):
    """Logits under the mask that the family has; and block-causal models decode alike with and without a cache."""
    denoiser = load(folder, dtype="float32", device="cpu", **told)
    of = torch.arange(20) // (block or 20)
    with torch.no_grad():
        rows = plain(input_ids=CANVAS, attention_mask=(of[:, None] >= of)[None, None], is_causal=False).logits
    expected = torch.cat([rows[:, :1], rows[:, :-1]], dim=1) if shift else rows
    got = denoiser.logits(CANVAS, read=torch.arange(20))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (denoiser.block_length, denoiser.shift, denoiser.mask_token_id) == (block, shift, 2)
    if block is not None:
        prompts = [CANVAS[0, :7], CANVAS[1, :12]]
        told = [dus.generate(denoiser, prompts, max_new_tokens=8, cache=cache).tokens for cache in ("none", "block")]
        assert all(map(torch.equal, *told))


LLADA2 = {
    "groups": {"n_group": 4, "topk_group": 2},
    "one group": {"n_group": 1, "topk_group": 1},
    "groups left open": {"n_group": None, "topk_group": None},
    "two shared experts": {"num_shared_experts": 2},
    "no shared expert": {"num_shared_experts": 0},
    "a shared expert that is null": {"num_shared_experts": None},
    "no dense layer": {"first_k_dense_replace": 0},
    "two dense layers": {"first_k_dense_replace": 2},
    "dense layers alone": {"first_k_dense_replace": 3},
    "one expert a token": {"num_experts_per_tok": 1},
    "scale": {"routed_scaling_factor": 1.0},
    "tied": {"tie_word_embeddings": True},
    "biases": {"use_qkv_bias": True},
    "the whole head turned": {"partial_rotary_factor": 1.0},
    "yarn": {"rope_scaling": YARN},
    "a block": {"block_length": 8},
    "a block by its other name": {"block_size": 8},
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element")  # of the plain model without a shared expert
@pytest.mark.parametrize("which", LLADA2)
def test_llada2(which, tmp_path):
    told = {"num_experts": 8, "num_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1}
    told |= {"first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "partial_rotary_factor": 0.5}
    told |= {"tie_word_embeddings": False, "use_qkv_bias": False, "rope_scaling": None, **LLADA2[which]}
    rope = {"rope_type": "default", "rope_theta": 6e5, "partial_rotary_factor": told["partial_rotary_factor"]}
    config = Glm4MoeConfig(
        **SIZES,
        n_routed_experts=8,
        n_shared_experts=told["num_shared_experts"] or 0,
        n_group=told["n_group"] or 1,
        topk_group=told["topk_group"] or 1,
        num_experts_per_tok=told["num_experts_per_tok"],
        norm_topk_prob=told["num_experts_per_tok"] > 1,
        first_k_dense_replace=told["first_k_dense_replace"],
        routed_scaling_factor=told["routed_scaling_factor"],
        moe_intermediate_size=24,
        use_qk_norm=True,
        attention_bias=told["use_qkv_bias"],
        tie_word_embeddings=told["tie_word_embeddings"],
        rope_parameters=rope | (told["rope_scaling"] or {}),
    )
    plain = drawn(Glm4MoeForCausalLM(config), torch.float32)
    published = {"model_type": "llada2_moe", "moe_intermediate_size": 24, "rope_theta": 6e5, "use_bias": False}
    published |= {"score_function": "sigmoid", "norm_topk_prob": True, "use_qk_norm": True, **SIZES, **TOKENS, **told}
    written(tmp_path, published, as_llada2(one_by_one(plain)))
    compare(tmp_path, plain, block=told.get("block_length") or told.get("block_size") or 32)
    again = tmp_path / "again"
    load(tmp_path, dtype="float32", device="cpu").model.save_pretrained(again)
    saved, before = load_file(again / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert saved.keys() == before.keys()
    compare(again, plain, block=told.get("block_length") or told.get("block_size") or 32)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"n_group": 3}, "8 experts in 3 groups, of which 1 are open, cannot be"),
        ({"n_group": 0}, "8 experts in 0 groups"),
        ({"n_group": 8}, "8 experts in 8 groups"),
        ({"n_group": 2, "topk_group": 3}, "of which 3 are open"),
        ({"n_group": 4, "num_experts_per_tok": 3}, "3 experts a token, of 2 in each of 1 open groups, cannot be"),
    ],
)
def test_groups_that_cannot_be(told, said, tmp_path):
    published = {"model_type": "llada2_moe", "num_experts": 8, "num_experts_per_tok": 2, **SIZES, **TOKENS, **told}
    written(tmp_path, published, {"lm_head.weight": torch.zeros(64, 32)})
    with pytest.raises(DenoiserError, match=said):
        load(tmp_path, device="cpu")


MIXTURES = {
    "llada": {
        "as released": {"norm_topk_prob": None, "moe_layer_freq": [1, 1, 1], "router_num_group": None},
        "dense layers": {"moe_layer_freq": [0, 1, 1]},
        "no list of layers": {"moe_layer_freq": None},
        "one group": {"router_num_group": 1, "router_topk_group": 1},
        "no shared expert": {"shared_expert_intermediate_size": 0},
        "another name": {"model_type": "lladamoe"},
        "tied": {"tie_word_embeddings": True},
        "a longer rope": {"rope_scaling": LINEAR},
    },
    "sdar_moe": {
        "as released": {"norm_topk_prob": True},
        "shares as they are": {"norm_topk_prob": False},
        "dense layers": {"mlp_only_layers": [0]},
        "tied": {"tie_word_embeddings": True},
    },
}


@pytest.mark.parametrize(("name", "which"), [(name, which) for name, each in MIXTURES.items() for which in each])
def test_mixtures_of_qwen3(name, which, tmp_path):
    told = MIXTURES[name][which]
    width = {"moe_intermediate_size": 24}
    if name == "llada":
        width = {"expert_intermediate_size": 24, "dense_intermediate_size": 48}
    experts = {"num_experts": 6, "num_experts_per_tok": 2}
    published = {"model_type": name, "rope_theta": 1e4, "hidden_act": "silu", **SIZES, **TOKENS, **width, **experts}
    sparse = told.get("moe_layer_freq") or [1, 1, 1]
    config = Qwen3MoeConfig(
        **{**SIZES, **experts, "moe_intermediate_size": 24},
        norm_topk_prob=bool(told.get("norm_topk_prob")),
        mlp_only_layers=told.get("mlp_only_layers") or [layer for layer in range(3) if not sparse[layer]],
        tie_word_embeddings=told.get("tie_word_embeddings", False),
        rope_parameters={"rope_type": "default", "rope_theta": 1e4} | told.get("rope_scaling", {}),
    )
    plain = drawn(Qwen3MoeForCausalLM(config), torch.float32)
    written(tmp_path, {**published, **told}, one_by_one(plain))
    compare(tmp_path, plain, block=None if name == "llada" else 4)


DENSE = {
    "sdar": (Qwen3Config, Qwen3ForCausalLM, 4, 0),
    "a2d-qwen3": (Qwen3Config, Qwen3ForCausalLM, None, 0),
    "a2d-qwen2": (Qwen2Config, Qwen2ForCausalLM, None, 0),
    "a2d-llama": (LlamaConfig, LlamaForCausalLM, None, 0),
    "Dream": (Qwen2Config, Qwen2ForCausalLM, None, 1),
    "Fast_dLLM_Qwen": (Qwen2Config, Qwen2ForCausalLM, 32, 1),
}
OPTIONS = {
    "plain": ({}, {}),
    "tied": ({"tie_word_embeddings": True}, {}),
    "a longer rope": ({"rope_scaling": LINEAR}, {}),
    "in files": ({}, {"shards": 3}),
    "in bfloat16": ({"torch_dtype": "bfloat16"}, {"dtype": torch.bfloat16}),
}


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("which", OPTIONS)
def test_dense_families(name, which, tmp_path):
    config_class, model_class, block, shift = DENSE[name]
    told, how = OPTIONS[which]
    sizes = {key: size for key, size in SIZES.items() if key != "head_dim" or config_class is not Qwen2Config}
    config = config_class(
        **sizes,
        tie_word_embeddings=told.get("tie_word_embeddings", False),
        rope_parameters={"rope_type": "default", "rope_theta": 1e4} | told.get("rope_scaling", {}),
    )
    plain = drawn(model_class(config), how.get("dtype", torch.float32))
    published = {"model_type": name, "rope_theta": 1e4, "tie_word_embeddings": False, **sizes, **TOKENS, **told}
    written(tmp_path, published, plain.state_dict(), **how)
    compare(tmp_path, plain, block=block, shift=shift)
    if name.startswith("a2d"):
        compare(tmp_path, plain, block=8, block_length=8)
        (tmp_path / "config.json").write_text(json.dumps(published | {"block_size": 4}))
        compare(tmp_path, plain, block=4)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"shared_expert_intermediate_size": 24}, "LLaDA-MoE with shared_expert_intermediate_size is not supported"),
        ({"router_num_group": 2}, "LLaDA-MoE with router_num_group is not supported: only one group of experts is"),
        ({"routed_scaling_factor": 2.5}, "LLaDA-MoE with routed_scaling_factor=2.5 is not supported: only 1 is"),
        ({"norm_topk_prob": True}, "LLaDA-MoE with norm_topk_prob=True is not supported: only False is"),
    ],
)
def test_mixtures_that_are_not_supported_say_so_when_they_are_loaded(told, said, tmp_path):
    published = {"model_type": "llada", "num_experts": 6, "num_experts_per_tok": 2, **SIZES, **TOKENS, **told}
    written(tmp_path, published, {"lm_head.weight": torch.zeros(64, 32)})
    with pytest.raises(DenoiserError, match=said):
        load(tmp_path, device="cpu")


def test_a_checkpoint_that_names_no_mask_token(tmp_path):
    written(tmp_path, {"model_type": "a2d-llama", **SIZES}, LlamaForCausalLM(LlamaConfig(**SIZES)).state_dict())
    with pytest.raises(DenoiserError, match="does not say which token is its mask: pass mask_token_id="):
        load(tmp_path, device="cpu")
    assert load(tmp_path, device="cpu", mask_token_id=7).mask_token_id == 7
