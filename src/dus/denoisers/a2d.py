"""A2D: Llama, Qwen2 and Qwen3 made into masked diffusion models by dLLM (Qwen3-0.6B-diffusion and its like).

Only the `model_type` and the mask differ from the autoregressive original: attention is full for models trained as MDLM
(arXiv 2406.07524), block-causal for BD3LM (arXiv 2503.09573), whose block is the configuration's `block_size` or
`dus.load(…, block_length=…)`.
"""

from __future__ import annotations

from typing import Any

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.family import as_published, register, require


class A2dLlamaConfig(LlamaConfig):
    """A Llama's configuration with `mask_token_id`, and `block_size` where attention is block-causal."""

    model_type = "a2d-llama"
    attribute_map = {"block_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = None
    block_length: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        return _published(super().to_diff_dict(), "A2DLlamaLMHeadModel")


class A2dQwen2Config(Qwen2Config):
    """A Qwen2's configuration with `mask_token_id`, and `block_size` where attention is block-causal."""

    model_type = "a2d-qwen2"
    attribute_map = {"block_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = None
    block_length: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require("A2D-Qwen2", {"use_sliding_window": self.use_sliding_window}, {"use_sliding_window": False})
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        return _published(super().to_diff_dict(), "A2DQwen2LMHeadModel")


class A2dQwen3Config(Qwen3Config):
    """A Qwen3's configuration with `mask_token_id`, and `block_size` where attention is block-causal."""

    model_type = "a2d-qwen3"
    attribute_map = {"block_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = None
    block_length: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require("A2D-Qwen3", {"use_sliding_window": self.use_sliding_window}, {"use_sliding_window": False})
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        return _published(super().to_diff_dict(), "A2DQwen3LMHeadModel")


def _published(ours: dict[str, Any], architecture: str) -> dict[str, Any]:
    published = as_published(ours)
    if (block := published.pop("block_length", None)) is not None:
        published["block_size"] = block
    return published | {"architectures": [architecture]}


class A2dLlamaForMaskedLM(BlockCausalLM, LlamaForCausalLM):
    """A Llama as a masked LM: row i of the logits predicts token i."""

    config_class = A2dLlamaConfig
    shift = 0


class A2dQwen2ForMaskedLM(BlockCausalLM, Qwen2ForCausalLM):
    """A Qwen2 as a masked LM: row i of the logits predicts token i."""

    config_class = A2dQwen2Config
    shift = 0


class A2dQwen3ForMaskedLM(BlockCausalLM, Qwen3ForCausalLM):
    """A Qwen3 as a masked LM: row i of the logits predicts token i."""

    config_class = A2dQwen3Config
    shift = 0


register(A2dLlamaConfig, A2dLlamaForMaskedLM)
register(A2dQwen2Config, A2dQwen2ForMaskedLM)
register(A2dQwen3Config, A2dQwen3ForMaskedLM)
