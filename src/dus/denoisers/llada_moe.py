"""LLaDA-MoE (arXiv 2509.24389; 7B-A1B): a Qwen3-MoE without the causal mask, under other configuration keys.

The release calls itself `llada`, as the dense LLaDA does, and is told from it by its keys; some copies say `lladamoe`.
Weights have Qwen3-MoE's names already, expert by expert.
"""

from __future__ import annotations

from typing import Any

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from dus.denoisers.base import DenoiserError
from dus.denoisers.family import as_published, register, require, without_nulls

_ONLY = {
    "attention_bias": False,
    "clip_qkv": None,
    "moe_router_enable_expert_bias": False,
    "moe_router_score_function": "softmax",
    "norm_topk_prob": False,
    "partial_rotary_factor": 1,
    "qk_layernorm": True,
    "routed_scaling_factor": 1,
    "use_sliding_window": False,
}
_UNWRITTEN = ("decoder_sparse_step", "mlp_only_layers", "num_local_experts", "sliding_window")


class LladaMoeConfig(Qwen3MoeConfig):
    """A LLaDA-MoE configuration, in the published keys or in Qwen3-MoE's; `save_pretrained` writes the published ones.

    Raises:
        DenoiserError: A published option that a Qwen3-MoE does not have, such as a shared expert.
    """

    model_type = "lladamoe"
    attribute_map = {  # noqa: RUF012 - how transformers declares it
        **Qwen3MoeConfig.attribute_map,
        "expert_intermediate_size": "moe_intermediate_size",
        "dense_intermediate_size": "intermediate_size",
    }

    rms_norm_eps: float = 1e-5
    mask_token_id: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        ours = {key: getattr(self, key) for key in ("norm_topk_prob", "use_sliding_window")}
        require("LLaDA-MoE", kwargs | ours, _ONLY)
        if kwargs.get("shared_expert_intermediate_size"):
            raise DenoiserError("LLaDA-MoE with shared_expert_intermediate_size is not supported: only without one.")
        if any((kwargs.get(key) or 0) > 1 for key in ("router_num_group", "router_topk_group")):
            raise DenoiserError("LLaDA-MoE with router_num_group is not supported: only one group of experts is.")
        kwargs.pop("partial_rotary_factor", None)
        sparse = kwargs.pop("moe_layer_freq", None)
        if isinstance(sparse, list):
            self.mlp_only_layers = [layer for layer, moe in enumerate(sparse) if not moe]
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', but what is published as null has its default, and the release's `model_type` is ours."""
        return super().from_dict(
            without_nulls(config_dict, "norm_topk_prob") | {"model_type": cls.model_type}, **kwargs
        )

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = {key: value for key, value in as_published(super().to_diff_dict()).items() if key not in _UNWRITTEN}
        for key in ("expert_intermediate_size", "dense_intermediate_size"):
            name = self.attribute_map[key]
            published.pop(name, None)
            published[key] = getattr(self, name)
        dense = set(self.mlp_only_layers or [])
        published["moe_layer_freq"] = [int(layer not in dense) for layer in range(self.num_hidden_layers)]
        published["num_experts"] = self.num_experts
        return _ONLY | published | {"model_type": "llada", "architectures": ["LLaDAMoEModelLM"]}


class LladaMoeForMaskedLM(Qwen3MoeForCausalLM):
    """LLaDA-MoE as a transformers masked LM: row i of the logits predicts token i, attention goes both ways."""

    config_class = LladaMoeConfig
    shift = 0


register(LladaMoeConfig, LladaMoeForMaskedLM, experts=True)
