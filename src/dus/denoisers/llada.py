"""LLaDA (arXiv 2502.09992; 8B, 1.5): a Llama without the causal mask, under other names.

The published checkpoints load and save as they are: `LladaConfig` reads and writes their configuration keys,
and a table of renamings gives their weights the names of transformers' Llama. Quantization, tensor parallelism,
adapters and attention kernels are therefore Llama's own. (What `dus.load` gives on a CPU is for inference: its linear
layers are packed. `AutoModelForMaskedLM.from_pretrained` gives the plain model, to be trained or adapted.)
"""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM
from transformers.core_model_loading import WeightRenaming

from dus.denoisers.family import register, require
from dus.denoisers.llada_moe import LladaMoeConfig

# What the published code can be configured to and a Llama cannot; each key with the one value that is a Llama.
_LLAMA_ONLY = {
    "block_type": "llama",
    "block_group_size": 1,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "bias_for_layer_norm": False,
    "attention_layer_norm": False,
    "input_emb_norm": False,
    "activation_type": "silu",
    "rope": True,
    "alibi": False,
    "include_bias": False,
    "include_qkv_bias": False,
    "scale_logits": False,
}
# Llama's own keys that the published code has no use for, or chokes on.
_UNWRITTEN = ("attention_bias", "head_dim", "hidden_act", "is_causal", "mlp_bias", "pretraining_tp", "rope_parameters")


class LladaConfig(LlamaConfig):
    """A LLaDA configuration, in the published keys (`d_model`, `n_layers`, …) or in Llama's.

    Both names read and write the same value, and `save_pretrained` writes the published ones. `vocab_size` is the
    width of the logits, which is the published `embedding_size` where that is given.

    Raises:
        DenoiserError: A published option that a Llama does not have, such as `alibi=True`.
    """

    model_type = "llada"
    attribute_map = {  # noqa: RUF012 - how transformers declares it
        "d_model": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "n_kv_heads": "num_key_value_heads",
        "mlp_hidden_size": "intermediate_size",
        "embedding_size": "vocab_size",
        "max_sequence_length": "max_position_embeddings",
        "weight_tying": "tie_word_embeddings",
        "init_std": "initializer_range",
    }

    rms_norm_eps: float = 1e-5
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    mask_token_id: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if "d_model" in kwargs and kwargs.get("mlp_hidden_size") is None:
            kwargs["mlp_hidden_size"] = kwargs.get("mlp_ratio", 4) * kwargs["d_model"]
        if kwargs.get("multi_query_attention"):
            kwargs["n_kv_heads"] = 1
        for published, name in self.attribute_map.items():
            if (value := kwargs.pop(published, None)) is not None:
                setattr(self, name, value)
        require("LLaDA", kwargs, _LLAMA_ONLY)
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under LLaDA's published keys: what `save_pretrained` writes."""
        ours = super().to_diff_dict()
        published = _LLAMA_ONLY | {key: value for key, value in ours.items() if key not in _UNWRITTEN}
        for key, name in self.attribute_map.items():
            published.pop(name, None)
            published[key] = getattr(self, name)
        published |= {"vocab_size": self.vocab_size, "rope_theta": self.rope_parameters["rope_theta"]}
        if self.rope_parameters["rope_type"] != "default":
            published["rope_scaling"] = self.rope_parameters
        return published | {"architectures": ["LLaDAModelLM"]}


class LladaForMaskedLM(LlamaForCausalLM):
    """LLaDA as a transformers masked LM: row i of the logits predicts token i, attention goes both ways."""

    config_class = LladaConfig
    shift = 0

    def __init__(self, config: LladaConfig) -> None:
        super().__init__(config)
        # LLaDA pads with its end token, which is a token to be learned like any other.
        self.model.embed_tokens.padding_idx = None


_BLOCK = {
    "attn_norm": "input_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_norm": "post_attention_layernorm",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}
_TOP = {"wte": "model.embed_tokens", "ln_f": "model.norm", "ff_out": "lm_head"}


# Transformers renames the weights when it loads them, and back when it saves them.
_RENAMINGS = [WeightRenaming(rf"^model\.transformer\.{old}", f"^{new}") for old, new in _TOP.items()] + [
    WeightRenaming(rf"^model\.transformer\.blocks\.(\d+)\.{old}", rf"^model\.layers\.\1\.{new}")
    for old, new in _BLOCK.items()
]

# LLaDA-MoE's release has the same model_type.
register(
    LladaConfig,
    LladaForMaskedLM,
    conversions=_RENAMINGS,
    choose=lambda published: LladaMoeConfig if published.get("num_experts") else LladaConfig,
)
