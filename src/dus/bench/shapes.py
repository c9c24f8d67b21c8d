"""Random models with the true proportions of published ones, for timings that need no download."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from dus.denoisers import DenoiserError, NativeLM
from dus.denoisers.quantized import quantize_body

_COMMON = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")
_SIZES = (*_COMMON, "intermediate_size", "vocab_size")


def _shape(family: str, name: str, sizes: tuple[int, ...], **others: Any) -> dict[str, Any]:
    return {"family": family, "name": name, **dict(zip(_SIZES, sizes, strict=True)), **others}


def _experts(count: int, width: int, **others: Any) -> dict[str, Any]:
    return {"num_experts": count, "moe_intermediate_size": width, "num_experts_per_tok": 8, **others}


_GROUPS = {"n_group": 8, "topk_group": 4, "n_shared_experts": 1, "first_k_dense_replace": 1}
SHAPES: dict[str, dict[str, Any]] = {
    # heads of 64, where the published ones are of 128: a small scale then leaves whole heads
    "llada-8b": _shape("llada", "Llada", (4096, 32, 64, 64, 64, 12288, 126464)),
    "llada-moe-7b": _shape("llada_moe", "LladaMoe", (2048, 16, 16, 16, 128, 8192, 157184), **_experts(64, 1024)),
    "llada2-mini": _shape("llada2", "Llada2", (2048, 20, 16, 4, 128, 5120, 157184), **_experts(256, 512, **_GROUPS)),
    "dream-7b": _shape("dream", "Dream", (3584, 28, 28, 4, 128, 18944, 152064)),
    "sdar-1.7b": _shape("sdar", "Sdar", (2048, 28, 16, 8, 128, 6144, 151936)),
    "sdar-30b-a3b": _shape("sdar", "SdarMoe", (2048, 48, 32, 4, 128, 6144, 151936), **_experts(128, 768)),
    "a2d-llama-1b": _shape("a2d", "A2dLlama", (2048, 16, 32, 8, 64, 8192, 128256)),
    "a2d-qwen2-0.5b": _shape("a2d", "A2dQwen2", (896, 24, 14, 2, 64, 4864, 151936)),
    "a2d-qwen3-0.6b": _shape("a2d", "A2dQwen3", (1024, 28, 16, 8, 128, 3072, 151936)),
    "fast-dllm-1.5b": _shape("fast_dllm", "FastDllm", (1536, 28, 12, 2, 128, 8960, 151936)),
    "nemotron-3b": _shape("nemotron", "Nemotron", (3072, 26, 32, 8, 128, 9216, 131072)),
}
"""Published sizes by family; those of Nemotron and A2D are of the models that these were made of."""
_GRAIN = 64


def random_model(
    shape: str,
    scale: float,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    quantize: str | None = None,
    seed: int = 0,
) -> NativeLM:
    """A model of random weights whose width, depth, mlp, vocabulary and experts are a published model's times `scale`.

    Widths are rounded to multiples of 64, heads to whole groups and experts likewise. `quantize` is as for `dus.load`.

    Raises:
        DenoiserError: For a shape that is not known, a scale outside (0, 1], or as `quantize_body`.
    """
    if shape not in SHAPES:
        raise DenoiserError(f"no shape is named {shape!r}; known are {', '.join(SHAPES)}")
    if not 0 < scale <= 1:
        raise DenoiserError(f"scale is {scale}, it has to be above 0 and at most 1")
    full = SHAPES[shape]
    family = import_module(f"dus.denoisers.{full['family']}")
    config = getattr(family, f"{full['name']}Config")(
        **_scaled(full, scale), max_position_embeddings=4096, mask_token_id=0, eos_token_id=1
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # a large one would not fit twice
    try:
        with torch.device(device):
            model = getattr(family, f"{full['name']}ForMaskedLM")(config)
    finally:
        torch.set_default_dtype(before)
    denoiser = NativeLM(model.eval())
    if quantize is not None:
        quantize_body(model, quantize)
    return denoiser


def _scaled(full: dict[str, Any], scale: float) -> dict[str, Any]:
    """The sizes of a shape, scaled."""
    width = _rounded(full["hidden_size"] * scale)
    true = width / full["hidden_size"]
    group = full["num_attention_heads"] // full["num_key_value_heads"]
    heads = max(1, round(full["num_attention_heads"] * true))
    found = {key: value for key, value in full.items() if key not in ("family", "name")}
    found |= {
        "hidden_size": width,
        "num_hidden_layers": max(2 if "first_k_dense_replace" in full else 1, round(full["num_hidden_layers"] * scale)),
        "num_attention_heads": heads // group * group if heads > group else heads,
        "num_key_value_heads": max(1, heads // group),
        "intermediate_size": _rounded(full["intermediate_size"] * true),
        "vocab_size": max(256, round(full["vocab_size"] * scale)),
    }
    if "num_experts" in full:
        groups = full.get("n_group", 1)
        experts = max(full["num_experts_per_tok"], round(full["num_experts"] * scale))
        found["num_experts"] = -(-experts // (2 * groups)) * 2 * groups
        found["moe_intermediate_size"] = _rounded(full["moe_intermediate_size"] * true)
    return found


def _rounded(width: float) -> int:
    return max(1, round(width / _GRAIN)) * _GRAIN
