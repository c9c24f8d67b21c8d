"""LLaDA2.0 and 2.1 (arXiv 2512.15745; mini 16B, flash 100B): a GLM-4.5 mixture of experts with a block-causal mask.

Beside the names of keys and weights, one thing differs: queries, keys and values are published as one matrix.
"""

from __future__ import annotations

from typing import Any

from transformers import Glm4MoeConfig, Glm4MoeForCausalLM
from transformers.core_model_loading import Concatenate, ConversionOps, WeightConverter, WeightRenaming

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.family import as_published, register, require, without_nulls

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
        DenoiserError: a published option that a Glm4Moe does not have, such as `use_bias=True`.
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
    use_qk_norm: bool = True
    num_mtp_layers: int = 0
    mask_token_id: int | None = None
    block_length: int | None = 32
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        ours = {key: getattr(self, key) for key in ("hidden_act", "norm_topk_prob", "use_qk_norm")}
        require("LLaDA2", kwargs | ours, _ONLY)
        super().__post_init__(**kwargs)

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
        return _ONLY | published | {"architectures": ["LLaDA2MoeModelLM"]}


class Llada2ForMaskedLM(BlockCausalLM, Glm4MoeForCausalLM):
    """LLaDA2 as a transformers masked LM: row i of the logits predicts token i."""

    config_class = Llada2Config
    shift = 0


_NAMES = {
    r"^model\.word_embeddings": "^model.embed_tokens",
    r"\.attention\.dense": ".self_attn.o_proj",
    r"\.attention\.query_layernorm": ".self_attn.q_norm",
    r"\.attention\.key_layernorm": ".self_attn.k_norm",
    r"\.attention\.query_key_value": ".self_attn.query_key_value",
    r"\.mlp\.gate\.expert_bias": ".mlp.gate.e_score_correction_bias",
}


class _Parts(ConversionOps):
    """Queries, keys and values, as many rows of one matrix as the configuration has heads of each.

    transformers has such an operation, `Split`, since 5.23; SGLang comes with an older one.
    """

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """The three tensors by their names."""
        (found,) = input_dict.values()
        whole, config = found[0] if isinstance(found, list) else found, kwargs["config"]
        heads = [config.num_attention_heads, *[config.num_key_value_heads] * 2]
        parts = whole.split([whole.shape[0] * number // sum(heads) for number in heads])
        return {name: part.contiguous() for name, part in zip(target_patterns, parts, strict=True)}

    @property
    def reverse_op(self) -> ConversionOps:
        """Back into one matrix."""
        return Concatenate(dim=0)


_SPLIT = [
    WeightConverter(
        source_patterns=f"query_key_value.{kind}",
        target_patterns=[f"{name}_proj.{kind}" for name in "qkv"],
        operations=[_Parts()],
    )
    for kind in ("weight", "bias")
]

register(
    Llada2Config,
    Llada2ForMaskedLM,
    conversions=[*(WeightRenaming(old, new) for old, new in _NAMES.items()), *_SPLIT],
    experts=True,
)
