"""Nemotron-Labs-Diffusion (3B, 8B, 14B): a Ministral3 whose newest block is denoised both ways.

What stands before that block, the prompt and finished blocks, is seen as a causal model left it. Weights are
Ministral3's under `encoder`, and the head, never tied, is `diffusion_head`.
"""

from __future__ import annotations

from typing import Any

from transformers import Ministral3Config, Ministral3ForCausalLM
from transformers.core_model_loading import WeightRenaming

from dus.denoisers.block_causal import BlockCausalLM
from dus.denoisers.family import register, require

_ONLY = {"dlm_paradigm": "bidirectional", "attention_bias": False, "tie_word_embeddings": False}


class NemotronConfig(Ministral3Config):
    """A Nemotron-Labs-Diffusion configuration; its keys are Ministral3's, with `mask_token_id` and `block_size`.

    Raises:
        DenoiserError: a published option that is not supported, such as another `dlm_paradigm`.
    """

    model_type = "nemotron_labs_diffusion"
    attribute_map = {"block_size": "block_length"}  # noqa: RUF012 - how transformers declares it

    mask_token_id: int | None = 100
    block_length: int | None = 32
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        ours = {"tie_word_embeddings": self.tie_word_embeddings}
        require("Nemotron-Labs-Diffusion", kwargs | ours, _ONLY)
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        published = super().to_diff_dict() | {"block_size": self.block_length, "mask_token_id": self.mask_token_id}
        for ours in ("block_length", "is_causal"):
            published.pop(ours, None)
        return published | {"dlm_paradigm": "bidirectional", "architectures": ["NemotronLabsDiffusionModel"]}


class NemotronForMaskedLM(BlockCausalLM, Ministral3ForCausalLM):
    """Nemotron-Labs-Diffusion as a transformers masked LM: row i of the logits predicts token i."""

    config_class = NemotronConfig
    shift = 0
    causal_context = True


register(
    NemotronConfig,
    NemotronForMaskedLM,
    conversions=[WeightRenaming(r"^encoder\.", "^model."), WeightRenaming(r"^diffusion_head\.", "^lm_head.")],
)
