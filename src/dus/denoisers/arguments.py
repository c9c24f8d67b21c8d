"""What `load` takes beside its own arguments: those of the hub's client and of `from_pretrained`, and no others."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.distributed import DistributedConfig

from dus.denoisers.base import DenoiserError
from dus.denoisers.files import read_config

HUB = ("subfolder", "token", "cache_dir", "local_files_only", "force_download", "proxies")
"""Arguments of `checkpoint_folder` beside the revision."""

PASSED = (
    *("attn_implementation", "experts_implementation", "quantization_config", "variant"),
    *("device_map", "max_memory", "offload_folder", "offload_buffers"),
    *("tp_plan", "tp_size", "device_mesh", "distributed_config"),
    *("use_kernels", "kernel_config", "allow_all_kernels"),
)
"""Arguments of transformers' `from_pretrained`."""

_INSTEAD = {
    "config": "edit config.json.",
    "gguf_file": "GGUF files are not read; name a checkpoint in safetensors.",
    "load_in_4bit": "say quantization_config=BitsAndBytesConfig(load_in_4bit=True).",
    "load_in_8bit": "say quantization_config=BitsAndBytesConfig(load_in_8bit=True).",
    "low_cpu_mem_usage": "leave it out, transformers 5 always loads that way.",
    "use_auth_token": "it is called token.",
    "use_safetensors": "leave it out, weights are read from safetensors alone.",
}
_OWN = (
    *("dtype", "torch_dtype", "device", "revision", "trust_remote_code", "mask_token_id", "block_length"),
    "shift",
    *("adapter", "quantize", "pack", "compile"),
)
_PLACED = ("device_map", "quantization_config", "distributed_config")
_ACROSS = ("auto", "balanced", "balanced_low_0", "sequential")


def parted(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keyword arguments that the hub's client takes, and those that `from_pretrained` takes.

    Raises:
        DenoiserError: An argument is of neither, by its name, with what is meant instead where that is known; or the
            tensor parallelism that is asked for lacks its processes.
    """
    for name in given:
        if name not in HUB + PASSED:
            known = (*_OWN, *HUB, *PASSED)
            close = difflib.get_close_matches(name, known, 1)
            told = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
            raise DenoiserError(f"load takes no {name}: {_INSTEAD.get(name) or told}")
    hub, passed = ({name: given[name] for name in names if name in given} for names in (HUB, PASSED))
    parallel = {name: passed.pop(name) for name in ("tp_plan", "tp_size") if passed.get(name) is not None}
    if parallel:
        if "distributed_config" in passed:
            raise DenoiserError("tp_plan and distributed_config say the same twice: leave one out.")
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            raise DenoiserError(f"{min(parallel)} needs several processes: start them by torchrun --nproc-per-node.")
        passed["distributed_config"] = DistributedConfig(**parallel)
    return hub, passed


def one_dtype(dtype: str | torch.dtype, torch_dtype: str | torch.dtype | None) -> str | torch.dtype:
    """What `dtype` and `torch_dtype`, its older name, say together.

    Raises:
        DenoiserError: They differ.
    """
    if torch_dtype is None:
        return dtype
    if dtype != "auto" and str(dtype).removeprefix("torch.") != str(torch_dtype).removeprefix("torch."):
        raise DenoiserError(f"dtype={dtype} and torch_dtype={torch_dtype} differ: say dtype alone.")
    return torch_dtype


def is_placed(passed: Mapping[str, Any]) -> bool:
    """Whether arguments of `from_pretrained` say where the model goes, so that it is not moved afterwards."""
    return any(passed.get(name) is not None for name in _PLACED)


def place_of(place: Any) -> torch.device:
    """The device that a `device` or a `device_map` comes down to; the first GPU where that is left open.

    Raises:
        DenoiserError: It is no device, or none that is here.
    """
    available = torch.accelerator.current_accelerator(check_available=True)
    if isinstance(place, dict):
        if "meta" in map(str, place.values()):
            raise DenoiserError("device_map puts weights on meta, where they hold no numbers: say 'disk' or a device.")
        devices = [place_of(part) for part in place.values() if part != "disk"]
        return next((device for device in devices if device.type != "cpu"), torch.device("cpu"))
    if isinstance(place, str) and place in _ACROSS:
        return available or torch.device("cpu")
    try:
        device = torch.device(place)
    except (RuntimeError, TypeError):
        raise DenoiserError(f"{place!r} is not a device: say 'auto', 'cpu', 'cuda' or 'cuda:1'.") from None
    if device.type != "cpu" and (available is None or available.type != device.type):
        raise DenoiserError(f"There is no device {place} here: {available or 'cpu'} is what torch sees.")
    return device


def type_of(dtype: str | torch.dtype, target: torch.device) -> str | torch.dtype:
    """What `from_pretrained` is to be told; "auto" there is the checkpoint's own."""
    if dtype == "auto":
        if target.type != "cpu":
            return "auto"
        return fast_type("cpu")
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(named, torch.dtype) or not named.is_floating_point:
        raise DenoiserError(f"{dtype!r} is not a floating type: say 'auto', 'bfloat16', 'float16' or 'float32'.")
    return named


def type_name(dtype: str | torch.dtype, target: torch.device, folder: Path) -> str:
    """The name of the type that `dtype` comes down to; "auto" stays where the checkpoint's config.json names none."""
    found: object = type_of(dtype, target)
    if found == "auto":
        config = read_config(folder)
        found = config.get("dtype") or config.get("torch_dtype")
    return str(found).removeprefix("torch.") if isinstance(found, str | torch.dtype) else "auto"


def fast_type(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on a processor that has instructions for it, else float32, which is then many times faster.

    Args:
        device: The type of a device, such as "cpu" or "cuda".
    """
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    computes = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if device != "cpu" or computes else torch.float32
