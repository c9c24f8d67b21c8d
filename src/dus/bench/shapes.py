"""Random models with the true proportions of published ones, for timings that need no download."""

from __future__ import annotations

from typing import Any

import torch

from dus.denoisers import DenoiserError, LladaConfig, LladaForMaskedLM, NativeLM
from dus.denoisers.quantized import quantize_body

SHAPES: dict[str, dict[str, Any]] = {
    "llada-8b": {
        "d_model": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "mlp_hidden_size": 12288,
        "vocab_size": 126464,
        "rope_theta": 500000.0,
        "max_sequence_length": 4096,
    }
}
HEAD = 64


def random_model(
    shape: str,
    scale: float,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    quantize: str | None = None,
    seed: int = 0,
) -> NativeLM:
    """A model of random weights whose width, depth, mlp and vocabulary are a published model's times `scale`.

    Width and mlp are rounded to whole heads of 64, so that at scale 1 the shape is the published one in all but the
    number of heads. `quantize` is as for `dus.load`.

    Raises:
        DenoiserError: for a shape that is not known, a scale outside (0, 1], or as `quantize_body`.
    """
    if shape not in SHAPES:
        raise DenoiserError(f"no shape is named {shape!r}; known are {', '.join(SHAPES)}")
    if not 0 < scale <= 1:
        raise DenoiserError(f"scale is {scale}, it has to be above 0 and at most 1")
    full = SHAPES[shape]
    heads = max(1, round(full["d_model"] * scale / HEAD))
    config = LladaConfig(
        d_model=heads * HEAD,
        n_layers=max(1, round(full["n_layers"] * scale)),
        n_heads=heads,
        n_kv_heads=heads,
        mlp_hidden_size=heads * HEAD * full["mlp_hidden_size"] // full["d_model"],
        vocab_size=max(256, round(full["vocab_size"] * scale)),
        rope_theta=full["rope_theta"],
        max_sequence_length=full["max_sequence_length"],
        mask_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # a large one would not fit twice
    try:
        with torch.device(device):
            model = LladaForMaskedLM(config)
    finally:
        torch.set_default_dtype(before)
    denoiser = NativeLM(model.eval())
    if quantize is not None:
        quantize_body(model, quantize)
    return denoiser
