"""Names of modules: what a published one is called in the model here, for adapters and for quantized checkpoints."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.quantizers.quantizers_utils import should_convert_module

from dus.denoisers.base import DenoiserError
from dus.denoisers.files import some


class Names:
    """The modules of a model, found by its own names of them and by the published ones."""

    def __init__(self, model: Any) -> None:
        self.modules = {name: module for name, module in model.named_modules() if hasattr(module, "weight")}
        mapping = get_model_conversion_mapping(model, add_legacy=False) if hasattr(model, "config") else []
        self.renamings = [each for each in mapping if isinstance(each, WeightRenaming)]
        self.converters = [each for each in mapping if isinstance(each, WeightConverter)]

    def of(self, name: str) -> list[str]:
        """The modules that a name means: several where a published matrix is split into theirs; none if unknown."""
        if name in self.modules:
            return [name]
        renamed = rename_source_key(f"{name}.weight", self.renamings, [])[0].removesuffix(".weight")
        if renamed in self.modules:
            return [renamed]
        for converter in self.converters:
            for source in converter.source_patterns:
                part = source.removesuffix(".weight")
                if source.endswith(".weight") and renamed.endswith(f".{part}"):
                    stem = renamed.removesuffix(part)
                    targets = [stem + target.removesuffix(".weight") for target in converter.target_patterns]
                    return targets if all(target in self.modules for target in targets) else []
        return []


def published_modules(folder: Path) -> set[str]:
    """The modules that a checkpoint holds weights of, by its own names."""
    found = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as held:
            found |= {key.rpartition(".")[0] for key in held.keys()}  # noqa: SIM118 - no mapping
    return found


def own_names(entry: str, names: Names, published: Collection[str], *, exact: bool = False) -> list[str]:
    """The modules of the model here that an entry of a quantizer's list means.

    Args:
        entry: A name, the beginning or the end of one, or a regular expression; behind "re:" it is one for certain.
        names: The names of the model's modules.
        published: Names of the checkpoint's modules.
        exact: Whether an entry without "re:" is a whole name, as for compressed-tensors.

    Returns:
        Their whole names; the entry itself where it means none.

    Raises:
        DenoiserError: It means some of the experts of a layer, which are one module here.
    """
    meant = [name for name in published if _means(entry, name, exact)]
    found: set[str] = set()
    for name in meant:
        stem, inside, _ = name.rpartition(".experts.")
        if inside and not names.of(name):
            among = f"{stem}.experts."
            if lost := {each for each in published if each.startswith(among)} - set(meant):
                raise DenoiserError(f"{entry!r} means some experts of a layer and not {some(lost)}: they go together.")
            found |= {f"{stem}.experts"}
        found |= set(names.of(name))
    return sorted(found or {name for name in names.modules if _means(entry, name, exact)} or {entry})


def _means(entry: str, name: str, exact: bool) -> bool:
    if entry.startswith("re:"):
        return re.match(entry.removeprefix("re:"), name) is not None
    return entry == name if exact else not should_convert_module(name, [entry])
