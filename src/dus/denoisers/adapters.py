"""LoRA adapters through PEFT, merged into the weights when they are loaded; published names of modules are found."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dus.denoisers.base import DenoiserError
from dus.denoisers.files import checkpoint_folder, some
from dus.denoisers.names import Names

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PART = re.compile(r"(.+?)\.((?:base_layer\.)?(?:lora_\w+|weight|bias)(?:\.weight|\.bias)?)")
_ROWS_OF_A = ("lora_A.weight", "lora_embedding_A")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model.

    Raises:
        DenoiserError: It holds both.
    """
    if not (folder / CONFIG).exists():
        return False
    if {file.name for file in folder.glob("*.safetensors")} - {WEIGHTS}:
        raise DenoiserError(
            f"{folder} holds a whole model and an adapter: move adapter_* elsewhere and say adapter='that folder'."
        )
    return True


def base_of(folder: Path) -> tuple[str, str | None]:
    """The model that an adapter was made for, a folder or hub id, and its revision.

    Raises:
        DenoiserError: Its configuration is broken or names none.
    """
    config = _config(folder)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise DenoiserError(f"{folder} names no model that it adapts: load that one, with adapter={str(folder)!r}.")
    return base, config.get("revision")


def model_and_adapter(
    folder: Path, adapter: str | os.PathLike[str] | None, code: bool, **hub: Any
) -> tuple[Path, Path | None]:
    """The folder of a model, and that of its adapter, None without one; a folder that is an adapter names its model.

    Args:
        folder: The folder of a model or an adapter.
        adapter: Folder or hub id of an adapter beside a model.
        code: Fetch the model's Python files too.
        hub: Arguments of the hub's client, as for `checkpoint_folder`.

    Raises:
        DenoiserError: There are two adapters, or none of what is named.
    """
    reached = {name: value for name, value in hub.items() if name not in ("subfolder", "force_download")}
    if is_adapter(folder):
        if adapter is not None:
            raise DenoiserError(f"{folder} is an adapter itself: name a model beside adapter={str(adapter)!r}.")
        base, revision = base_of(folder)
        return checkpoint_folder(base, revision, code, **reached), folder
    return folder, None if adapter is None else checkpoint_folder(adapter, **reached)


def check_vocabulary(tokenizer: Any, size: int, folder: Path) -> None:
    """Refuse an adapter whose tokenizer has tokens that the model has no rows for.

    Raises:
        DenoiserError: Its vocabulary exceeds `size`.
    """
    if tokenizer is not None and len(tokenizer) > size:
        raise DenoiserError(
            f"The tokenizer of the adapter in {folder} has {len(tokenizer)} tokens, the model {size}: adapters that "
            "add tokens are not supported; merge it into a model of its own first."
        )


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DenoiserError(f"{folder} has no {CONFIG}: it is no adapter.") from None
    except ValueError as error:
        raise DenoiserError(f"{folder / CONFIG} is not valid JSON: {error}.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise DenoiserError(f"{folder} is an adapter of the type {kind}: only LORA is supported.")
    return config


def merge(model: Any, folder: Path) -> Any:
    """The model with an adapter's weights in its own.

    Args:
        model: A transformers model, changed in place.
        folder: As PEFT saves it; its names may be those of the model here or the published ones.

    Raises:
        DenoiserError: PEFT is not installed; or the adapter is damaged, of another kind than LoRA, lacks a weight, or
            has one that finds no place in the model.
    """
    told = _config(folder)
    if find_spec("peft") is None:
        raise DenoiserError("An adapter needs peft: pip install 'dus-lm[peft]'.")
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    places, weights = _placed(model, folder)
    config = LoraConfig.from_pretrained(str(folder))
    _aim(config, told, places, weights)
    _untie(model, places)
    try:
        adapted = get_peft_model(model, config)
        found = set_peft_model_state_dict(adapted, {_PREFIX + name: weight for name, weight in weights.items()})
        if unexpected := [name.removeprefix(_PREFIX) for name in found.unexpected_keys]:
            raise DenoiserError(f"The adapter in {folder} holds {some(unexpected)}, which the model has no place for.")
        if missing := [name for name in found.missing_keys if "lora_" in name]:
            raise DenoiserError(f"The adapter in {folder} lacks {some(missing)}.")
        return adapted.merge_and_unload()
    except DenoiserError:
        raise
    except (RuntimeError, ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise DenoiserError(f"The adapter in {folder} cannot be merged: {' '.join(str(error).split())}") from error


def _placed(model: nn.Module, folder: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """For each module of the model that is adapted its name in the adapter, and the weights under the model's names."""
    try:
        held = load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise DenoiserError(f"{folder} has no {WEIGHTS}: adapters are read from safetensors alone.") from None
    except SafetensorError as error:
        raise DenoiserError(f"{folder / WEIGHTS} is damaged or incomplete: {error}.") from error
    names = Names(model)
    places: dict[str, str] = {}
    weights: dict[str, Tensor] = {}
    lost = []
    for key, weight in held.items():
        match = _PART.fullmatch(key.removeprefix(_PREFIX))
        targets = names.of(match[1]) if match else []
        if match is None or not targets:
            lost.append(key.removeprefix(_PREFIX))
            continue
        rows = [names.modules[target].weight.shape[0] for target in targets]
        whole = len(targets) == 1 or match[2] in _ROWS_OF_A
        parts = [weight] * len(targets) if whole else weight.split(rows)
        for target, part in zip(targets, parts, strict=True):
            places[target] = match[1]
            weights[f"{target}.{match[2]}"] = part.contiguous().clone()
    if lost:
        raise DenoiserError(f"The adapter in {folder} holds {some(lost)}, which the model has no place for.")
    if not weights:
        raise DenoiserError(f"The adapter in {folder} holds no weights.")
    return places, weights


def _aim(config: Any, told: Mapping[str, Any], places: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    """Have a PEFT configuration name the modules that there are weights for, each with its own rank and scale."""
    from peft.utils.other import get_pattern_key

    adapted = {name.rpartition(".lora_")[0] for name in weights if ".lora_" in name}
    config.target_modules = adapted
    config.modules_to_save = sorted(set(places) - adapted) or None
    config.exclude_modules = config.layers_to_transform = config.layers_pattern = config.task_type = None
    config.inference_mode, config.init_lora_weights = True, True
    alphas = told.get("alpha_pattern") or {}
    config.rank_pattern, config.alpha_pattern = {}, {}
    for target in adapted:
        first = next((weights[f"{target}.{kind}"] for kind in _ROWS_OF_A if f"{target}.{kind}" in weights), None)
        if first is not None and first.shape[0] != config.r:
            config.rank_pattern[f"^{re.escape(target)}"] = first.shape[0]
        published = places[target]
        if (pattern := get_pattern_key(alphas, published)) != published or pattern in alphas:
            config.alpha_pattern[f"^{re.escape(target)}"] = alphas[pattern]


def _untie(model: Any, adapted: Collection[str]) -> None:
    """Give the head a weight of its own where it shares the embedding's and one of both is adapted."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    concerned = any(model.get_submodule(name) in (embedding, head) for name in adapted)
    if concerned and head is not None and head.weight is embedding.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False
