"""Weights in eight bits, by torchao, quantized while a checkpoint loads."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import TorchAoConfig
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from dus.denoisers.base import DenoiserError
from dus.denoisers.packed import weights

QUANTIZATIONS = ("int8",)


def quantization(name: str) -> TorchAoConfig:
    """The `quantization_config` for `from_pretrained` that a name stands for.

    `int8` is weight-only: each output row of a linear layer's weight is rounded to 256 levels, between minus and plus
    its largest magnitude, and the layer still computes in the model's dtype. Embeddings, norms and the vocabulary
    projection stay as they are: the first two are no matrix products, and an error in the last is an error in a logit.
    Nor are experts quantized, which are most of a mixture: they are stacked, and no linear layers.
    It halves the memory of bfloat16 layers, and makes no step faster by itself: they are turned back at every call, and
    on a CPU compiled code does that at half the speed where many positions are computed.

    Raises:
        DenoiserError: the name is unknown, or torchao is not installed.
    """
    if name not in QUANTIZATIONS:
        raise DenoiserError(f"quantize is {name!r}, known are {', '.join(QUANTIZATIONS)}; None leaves weights alone.")
    if find_spec("torchao") is None:
        raise DenoiserError(f"quantize={name!r} needs torchao: pip install 'dus[quantize]'.")
    from torchao.quantization import Int8WeightOnlyConfig

    # Loading a model is no reason to change how all that this process compiles is tuned.
    return TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))


def check_quantized(config: dict[str, Any], folder: Path) -> None:
    """Refuse a checkpoint that is quantized in a way that transformers does not know, and would pass over.

    Args:
        config: its published configuration.
        folder: where it lies.

    Raises:
        DenoiserError: the `quant_method` of its `quantization_config` is unknown.
    """
    told = config.get("quantization_config")
    if told is None:
        return
    method = told.get("quant_method") if isinstance(told, dict) else None
    known = {name.partition("_")[0] if "bitsandbytes" in name else name for name in AUTO_QUANTIZATION_CONFIG_MAPPING}
    if method not in known:
        raise DenoiserError(
            f"{folder} is quantized by {method!r}, and transformers reads {', '.join(sorted(known))}: name one of "
            "these, or one of plain weights."
        )


def quantize_body(model: Any, name: str) -> None:
    """Quantize a loaded model in place as `quantization` does while one loads: all but its vocabulary projection.

    Raises:
        DenoiserError: as `quantization`.
    """
    how = quantization(name).quant_type
    from torchao.quantization import quantize_

    quantize_(model.base_model, how)


def weight_bytes(model: nn.Module) -> int:
    """Bytes that the weights of a model take as they are held; tied ones count once."""
    return sum(_held(held) for held in [*weights(model), *model.buffers()])


def _held(tensor: Any) -> int:
    if is_traceable_wrapper_subclass(tensor):  # its own numel and dtype are those of what it stands for
        parts, _ = tensor.__tensor_flatten__()
        return sum(_held(getattr(tensor, part)) for part in parts)
    return tensor.numel() * tensor.element_size()
