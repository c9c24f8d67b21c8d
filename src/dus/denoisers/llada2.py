"""LLaDA2.0 and 2.1 (arXiv 2512.15745; mini 16B, flash 100B): a GLM-4.5 mixture of experts with a block-causal mask.

Beside the names of keys and weights, one thing differs: queries, keys and values are published as one matrix.
"""

from __future__ import annotations

import warnings
from typing import Any

from transformers import Glm4MoeConfig, Glm4MoeForCausalLM
from transformers.core_model_loading import WeightConverter, WeightRenaming

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.experts import NoExpert, check_groups
from dus.denoisers.family import HeadParts, as_published, register, require, without_nulls

_ONLY = {
    "hidden_act": "silu",
    "moe_router_enable_expert_bias": True,
    "norm_head": False,
    "norm_topk_prob": True,
    "score_function": "sigmoid",
    "use_bias": False,
    "use_qk_norm": True,
    "use_sliding_window": False,
}
_UNWRITTEN = ("attention_bias", "num_local_experts", "num_nextn_predict_layers", "num_mtp_layers")


class Llada2Config(Glm4MoeConfig):
    """A LLaDA2 configuration, in the published keys or in Glm4Moe's; `save_pretrained` writes the published ones.

    Raises:
        DenoiserError: A published option that a Glm4Moe does not have, such as `use_bias=True`.
    """

    model_type = "llada2_moe"
    attribute_map = {  # noqa: RUF012 - how transformers declares it
        **Glm4MoeConfig.attribute_map,
        "num_experts": "n_routed_experts",
        "num_shared_experts": "n_shared_experts",
        "use_qkv_bias": "attention_bias",
        "block_size": "block_length",
    }

    # Under tensor parallelism every process has all of attention: one published matrix is split before it is sharded.
    base_model_tp_plan = {  # noqa: RUF012
        name: rule for name, rule in Glm4MoeConfig.base_model_tp_plan.items() if "self_attn" not in name
    }

    rms_norm_eps: float = 1e-6
    norm_topk_prob: bool = True
    use_qk_norm: bool = True
    num_mtp_layers: int = 0
    mask_token_id: int | None = None
    block_length: int | None = 32
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        one = self.num_experts_per_tok == 1  # whose share the published code leaves as it is
        ours = {key: getattr(self, key) for key in ("hidden_act", "use_qk_norm")}
        require("LLaDA2", kwargs | ours | {"norm_topk_prob": self.norm_topk_prob or one}, _ONLY)
        self.norm_topk_prob = not one
        kwargs |= {key: kwargs[key] or 0 for key in ("num_shared_experts",) if key in kwargs}
        super().__post_init__(**kwargs)
        check_groups(self.n_routed_experts, self.num_experts_per_tok, self.n_group, self.topk_group)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', but what the published configuration leaves at null has its default."""
        return super().from_dict(without_nulls(config_dict, *_ONLY, "n_group", "topk_group"), **kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = {key: value for key, value in as_published(super().to_diff_dict()).items() if key not in _UNWRITTEN}
        for key in ("num_experts", "num_shared_experts", "use_qkv_bias"):
            published.pop(self.attribute_map[key], None)
            published[key] = getattr(self, key)
        if published.get("block_length") == 32:
            del published["block_length"]
        return published | _ONLY | {"architectures": ["LLaDA2MoeModelLM"]}


class Llada2ForMaskedLM(BlockCausalLM, Glm4MoeForCausalLM):
    """LLaDA2 as a transformers masked LM: row i of the logits predicts token i."""

    config_class = Llada2Config
    shift = 0

    def __init__(self, config: Llada2Config) -> None:
        with warnings.catch_warnings():  # torch's, of an expert of no width
            warnings.simplefilter("ignore")
            super().__init__(config)
        for layer in () if config.n_shared_experts else self.model.layers[config.first_k_dense_replace :]:
            layer.mlp.shared_experts = NoExpert()


_NAMES = {
    r"^model\.word_embeddings": "^model.embed_tokens",
    r"\.attention\.dense": ".self_attn.o_proj",
    r"\.attention\.query_layernorm": ".self_attn.q_norm",
    r"\.attention\.key_layernorm": ".self_attn.k_norm",
    r"\.attention\.query_key_value": ".self_attn.query_key_value",
    r"\.mlp\.gate\.expert_bias": ".mlp.gate.e_score_correction_bias",
}


_SPLIT = [
    WeightConverter(
        source_patterns=f"query_key_value.{kind}",
        target_patterns=[f"{name}_proj.{kind}" for name in "qkv"],
        operations=[HeadParts()],
    )
    for kind in ("weight", "bias")
]

register(
    Llada2Config,
    Llada2ForMaskedLM,
    conversions=[*(WeightRenaming(old, new) for old, new in _NAMES.items()), *_SPLIT],
    experts=True,
)
