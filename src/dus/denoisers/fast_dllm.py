"""Fast-dLLM v2 (arXiv 2509.26328; 1.5B, 7B): a Qwen2.5 with a block-causal mask and shifted logits.

The token at position i is predicted from hidden row i - 1, as in the autoregressive original; blocks are of 32 tokens
(the configuration's `bd_size`). Weights have Qwen2's names.
"""

from __future__ import annotations

from typing import Any

from transformers import Qwen2Config, Qwen2ForCausalLM

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.family import as_published, register, require


class FastDllmConfig(Qwen2Config):
    """A Fast-dLLM v2 configuration; its keys are Qwen2's, with `bd_size`, the length of a block."""

    model_type = "Fast_dLLM_Qwen"
    attribute_map = {"bd_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = None
    block_length: int | None = 32
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require("Fast-dLLM v2", {"use_sliding_window": self.use_sliding_window}, {"use_sliding_window": False})
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = as_published(super().to_diff_dict()) | {"bd_size": self.block_length}
        published.pop("block_length", None)
        return published | {"architectures": ["Fast_dLLM_QwenForCausalLM"]}


class FastDllmForMaskedLM(BlockCausalLM, Qwen2ForCausalLM):
    """Fast-dLLM v2 as a transformers model: row i of its own logits predicts token i + 1, as published."""

    config_class = FastDllmConfig
    shift = 1

    def __init__(self, config: FastDllmConfig) -> None:
        super().__init__(config)
        self.loss_type = "ForCausalLM"


register(FastDllmConfig, FastDllmForMaskedLM)
