"""A random DiffusionGemma that is small enough for a test."""

import pytest
import torch


@pytest.fixture(scope="session")
def tiny_gemma():
    """A vocabulary of 97 and a canvas of 16, in float32."""
    from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion, DiffusionGemmaTextConfig

    torch.manual_seed(0)
    text = DiffusionGemmaTextConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        global_head_dim=16,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=64,
        num_experts=4,
        top_k_experts=2,
        moe_intermediate_size=16,
        max_position_embeddings=256,
    )
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    config = DiffusionGemmaConfig(
        text_config=text, vision_config={"model_type": "gemma4_vision", **vision}, canvas_length=16, image_token_id=96
    )
    return DiffusionGemmaForBlockDiffusion(config).eval()
