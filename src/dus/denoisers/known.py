"""Which families of checkpoints are known, what they leave unsaid, and which are known not to work."""

from __future__ import annotations

FAMILIES = {
    "llada": "LLaDA 8B and 1.5, LLaDA-MoE",
    "lladamoe": "LLaDA-MoE",
    "llada2_moe": "LLaDA2.0 and 2.1",
    "Dream": "Dream and DiffuCoder",
    "sdar": "SDAR and TraDo",
    "sdar_moe": "SDAR-MoE",
    "a2d-llama": "A2D",
    "a2d-qwen2": "A2D",
    "a2d-qwen3": "A2D",
    "Fast_dLLM_Qwen": "Fast-dLLM v2",
    "nemotron_labs_diffusion": "Nemotron-Labs-Diffusion",
}
"""The `model_type` of every family that loads natively, and its name."""

MASK_TOKEN_IDS = {
    "llada": 126336,
    "Dream": 151666,
    "lladamoe": 156895,
    "llada2_moe": 156895,
    "sdar": 151669,
    "sdar_moe": 151669,
    "Fast_dLLM_Qwen": 151665,
    "nemotron_labs_diffusion": 100,
}
"""For checkpoints that do not name their mask token, by `model_type` of the configuration class."""

SHIFTED = ("Dream", "Fast_dLLM_Qwen")
"""The `model_type` of families whose row i predicts the token at i + 1, as in the published code."""

SPLIT = {"llada2_moe": "query_key_value"}
"""A published matrix that is split while it loads, which no quantizer allows for, by `model_type`."""

_NOISE = "its forward takes a noise level beside the tokens"
_IMAGES = "it reads images, and only models of text alone are supported"
UNSUPPORTED = {
    "bd3lm": f"BD3LM: {_NOISE}",
    "diffusion_gemma": "DiffusionGemma: it has no mask token, its canvas begins with random ones; transformers runs it",
    "llava_llada": f"LLaDA-V: {_IMAGES}",
    "mdlm": f"MDLM: {_NOISE}",
    "mmada": f"MMaDA: {_IMAGES}",
    "nemotron_labs_diffusion_vlm": f"Nemotron-Labs-Diffusion with images: {_IMAGES}",
}
"""The `model_type` of diffusion models that are known and cannot be decoded here, with the reason."""
