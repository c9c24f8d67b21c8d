"""Weights in eight bits, by torchao, quantized while a checkpoint loads."""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import AutoConfig, AutoModelForMaskedLM, TorchAoConfig
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING, AutoHfQuantizer

from dus.denoisers.base import DenoiserError
from dus.denoisers.known import SPLIT
from dus.denoisers.names import Names, own_names, published_modules
from dus.denoisers.packed import weights

QUANTIZATIONS = ("int8",)
_PLACES = (r"re:.*_proj\.weight", r"re:.*\.experts\.\w+_proj")  # linear layers, and experts, which are stacked
_EXACT = ("ignore", "targets")
_LISTS = (
    *("modules_to_not_convert", "llm_int8_skip_modules", "skip_modules", "ignored_layers"),
    *("linear_weights_not_to_quantize", *_EXACT),
)
"""Keys of quantization configurations under which modules are named that are left as they are, or are not."""
_NOT_READ = ("block_name_to_quantize", "modules_in_block_to_quantize", "modules_to_convert", "dynamic")


def quantization(name: str, *, native: bool = False) -> TorchAoConfig:
    """The `quantization_config` for `from_pretrained` that a name stands for.

    `int8` is weight-only: each output row of a linear layer's or an expert's weight is rounded to 256 levels, between
    minus and plus its largest magnitude, and the layer still computes in the model's dtype. Embeddings, norms, routers
    and the vocabulary projection stay as they are: the first two are no matrix products, an error in the third sends a
    token elsewhere, and one in the last is an error in a logit. It halves the memory of bfloat16 layers, and makes no
    step faster by itself: they are turned back at every call, and on a CPU compiled code does that at half the speed
    where many positions are computed.

    Args:
        name: "int8".
        native: Whether the model is of a family known here. Of others linear layers alone are quantized.

    Raises:
        DenoiserError: The name is unknown, or torchao is not installed.
    """
    if name not in QUANTIZATIONS:
        raise DenoiserError(f"quantize is {name!r}, known are {', '.join(QUANTIZATIONS)}; None leaves weights alone.")
    if find_spec("torchao") is None:
        raise DenoiserError(f"quantize={name!r} needs torchao: pip install 'dus-lm[quantize]'.")
    from torchao.quantization import FqnToConfig, Int8WeightOnlyConfig

    # Loading a model is no reason to change how all that this process compiles is tuned.
    how = Int8WeightOnlyConfig(set_inductor_config=False)
    return TorchAoConfig(FqnToConfig(dict.fromkeys(_PLACES, how)) if native else how)


def check_quantized(config: dict[str, Any], folder: Path, asked: Any = None) -> None:
    """Refuse a checkpoint that is quantized in a way that transformers does not know, and would pass over.

    Args:
        config: Its published configuration.
        folder: Where it lies.
        asked: The `quantization_config` that `from_pretrained` is to be told.

    Raises:
        DenoiserError: The `quant_method` of its `quantization_config` is unknown; or the family's published matrices
            are split while they load, which no quantizer allows for.
    """
    if isinstance(asked, str):
        raise DenoiserError(
            f"quantization_config is {asked!r} and no configuration of transformers; quantize is a name."
        )
    told = config.get("quantization_config")
    whole = SPLIT.get(config["model_type"])
    if whole and (told or asked) and any(name.endswith(whole) for name in published_modules(folder)):
        raise DenoiserError(
            f"{folder} has its {whole} in one matrix, which transformers cannot split where it quantizes: load "
            f"{'it' if asked else 'a checkpoint of plain weights'} with quantize='int8'."
        )
    if told is None:
        return
    method = told.get("quant_method") if isinstance(told, dict) else None
    known = {name.partition("_")[0] if "bitsandbytes" in name else name for name in AUTO_QUANTIZATION_CONFIG_MAPPING}
    if method not in known:
        raise DenoiserError(
            f"{folder} is quantized by {method!r}, and transformers reads {', '.join(sorted(known))}: name one of "
            "these, or one of plain weights."
        )


def with_own_names(config: dict[str, Any], folder: Path, asked: Any = None) -> dict[str, Any]:
    """Arguments of `from_pretrained` under which a quantizer's lists name modules as the model here does.

    Args:
        config: The published configuration of a family known here.
        folder: Where it lies; the lists name modules as its weights do.
        asked: The `quantization_config` that `from_pretrained` is to be told, whose lists may do so too.

    Raises:
        DenoiserError: A list names some experts of a layer; or names stand where they are not looked for.
    """
    told = config.get("quantization_config")
    lists = [*_lists_in(told), *_lists_in(asked)]
    named = [key for key in _NOT_READ for part in (told, asked) if _items(part).get(key)]
    if not lists and not named:
        return {}
    known = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        names = Names(AutoModelForMaskedLM.from_config(known))
    published = published_modules(folder)
    if all(names.of(name) == [name] for name in published):
        return {}
    if named:
        raise DenoiserError(f"The {named[0]} of {folder}'s quantization names modules, which have other names here.")

    def translated(part: Any) -> Any:
        part = deepcopy(part)
        for items, key in _lists_in(part):
            found = [own_names(entry, names, published, exact=key in _EXACT) for entry in items[key]]
            items[key] = sorted({name for each in found for name in each})
        return part

    if told is not None:
        known.quantization_config = translated(told)
    return {"config": known, **({} if asked is None else {"quantization_config": translated(asked)})}


def _items(part: Any) -> dict[str, Any]:
    """A quantization configuration, or a part of one, as what can be read and written by keys."""
    return part if isinstance(part, dict) else getattr(part, "__dict__", {})


def _lists_in(part: Any) -> list[tuple[dict[str, Any], str]]:
    """Where a quantization configuration has lists of names: the parts of it, and their keys."""
    items = _items(part)
    groups = items.get("config_groups") or {}
    inner = [place for group in groups.values() for place in _lists_in(group)] if isinstance(groups, dict) else []
    return inner + [(items, key) for key in _LISTS if isinstance(items.get(key), list) and items[key]]


def quantize_body(model: Any, name: str, *, native: bool = True) -> None:
    """Quantize a loaded model in place as `quantization` does while one loads: all but its vocabulary projection.

    Raises:
        DenoiserError: As `quantization`.
    """
    told = quantization(name, native=native)
    from torchao.quantization import quantize_

    quantize_(model.base_model, told.quant_type, filter_fn=None)
    model.config.quantization_config = told  # so that it is saved like one that was quantized while it loaded
    model.hf_quantizer = AutoHfQuantizer.from_config(told, pre_quantized=False)


def weight_bytes(model: nn.Module) -> int:
    """Bytes that the weights of a model take as they are held; tied ones count once."""
    return sum(_held(held) for held in [*weights(model), *model.buffers()])


def _held(tensor: Any) -> int:
    if is_traceable_wrapper_subclass(tensor):  # its own numel and dtype are those of what it stands for
        parts, _ = tensor.__tensor_flatten__()
        return sum(_held(getattr(tensor, part)) for part in parts)
    return tensor.numel() * tensor.element_size()
