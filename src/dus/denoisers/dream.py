"""Dream (arXiv 2508.15487) and DiffuCoder (arXiv 2506.20639): a Qwen2 without the causal mask, logits shifted.

The weights have Qwen2's names already. The models were adapted from autoregressive ones and kept their habit:
the token at position i is predicted from hidden row i - 1, the first one from its own row.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from dus.denoisers.family import as_published, register, require_full


class DreamConfig(Qwen2Config):
    """A Dream configuration; its keys are Qwen2's, with `mask_token_id`. Saved so that the published code reads it.

    Raises:
        DenoiserError: `use_sliding_window=True`, which no published model has.
    """

    model_type = "Dream"

    mask_token_id: int | None = None
    use_cache: bool = False
    is_causal: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require_full("Dream", self)
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """The configuration under the published keys: what `save_pretrained` writes."""
        return as_published(super().to_diff_dict()) | {"architectures": ["DreamModel"]}


class DreamForMaskedLM(Qwen2ForCausalLM):
    """Dream as a transformers model: row i of its own logits predicts token i + 1, as published.

    With `labels` its loss is the shifted one for that reason. `NativeLM.logits` undoes the shift.
    """

    config_class = DreamConfig
    shift = 1

    def __init__(self, config: DreamConfig) -> None:
        super().__init__(config)
        self.loss_type = "ForCausalLM"


class DreamTokenizer(Qwen2Tokenizer):
    """Dream's tokenizer, which is Qwen2's with other special tokens; the name is what its checkpoints ask for."""


register(DreamConfig, DreamForMaskedLM)
AutoTokenizer.register(DreamConfig, tokenizer_class=DreamTokenizer, exist_ok=True)
