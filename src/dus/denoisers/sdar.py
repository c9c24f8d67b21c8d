"""SDAR (arXiv 2510.06303; 1.7B to 8B, 30B-A3B) and TraDo: a Qwen3, dense or mixture of experts, block-causal.

Weights have Qwen3's names already. Blocks are of four tokens unless the configuration's `block_size` says otherwise.
"""

from __future__ import annotations

from typing import Any

from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.family import as_published, register, require

_ONLY = {"use_sliding_window": False}


class SdarConfig(Qwen3Config):
    """An SDAR configuration; its keys are Qwen3's, with `mask_token_id` and `block_size`."""

    model_type = "sdar"
    attribute_map = {"block_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = None
    block_length: int | None = 4
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require("SDAR", {"use_sliding_window": self.use_sliding_window}, _ONLY)
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = as_published(super().to_diff_dict()) | {"block_size": self.block_length}
        published.pop("block_length", None)
        return published | {"architectures": ["SDARForCausalLM"]}


class SdarMoeConfig(Qwen3MoeConfig):
    """An SDAR-MoE configuration; its keys are Qwen3-MoE's, with `mask_token_id` and `block_size`."""

    model_type = "sdar_moe"
    attribute_map = {  # noqa: RUF012 - how transformers declares it
        **Qwen3MoeConfig.attribute_map,
        "block_size": "block_length",
    }

    mask_token_id: int | None = None
    block_length: int | None = 4
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require("SDAR-MoE", {"use_sliding_window": self.use_sliding_window}, _ONLY)
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = as_published(super().to_diff_dict()) | {"block_size": self.block_length}
        for ours in ("block_length", "num_local_experts"):
            published.pop(ours, None)
        return published | {"num_experts": self.num_experts, "architectures": ["SDARMoeForCausalLM"]}


class SdarForMaskedLM(BlockCausalLM, Qwen3ForCausalLM):
    """SDAR as a transformers masked LM: row i of the logits predicts token i."""

    config_class = SdarConfig
    shift = 0


class SdarMoeForMaskedLM(BlockCausalLM, Qwen3MoeForCausalLM):
    """SDAR-MoE as a transformers masked LM, as `SdarForMaskedLM`."""

    config_class = SdarMoeConfig
    shift = 0


register(SdarConfig, SdarForMaskedLM)
register(SdarMoeConfig, SdarMoeForMaskedLM, experts=True)
