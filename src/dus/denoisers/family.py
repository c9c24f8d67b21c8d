"""What the families have in common: registration, published options that must have one value, published rope keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)

from dus.denoisers.base import DenoiserError


def register(
    config_class: type[PreTrainedConfig],
    model_class: type[PreTrainedModel],
    *,
    conversions: list[Any] | None = None,
    experts: bool = False,
    choose: Callable[[Mapping[str, Any]], type[PreTrainedConfig]] | None = None,
) -> None:
    """Teach transformers' `AutoConfig` and `AutoModelForMaskedLM` a family.

    What is registered for the configuration passes for transformers' own: then a folder that brings the authors' code
    still runs that code where it is trusted, and this family everywhere else.

    Args:
        config_class: the configuration; its `model_type` is the published one.
        model_class: the model.
        conversions: from published weight names to those of the model.
        experts: whether experts are published one by one, as transformers stacks them for Qwen's.
        choose: tells the configuration class of a published configuration where a `model_type` is shared.
    """
    chosen = choose or (lambda published: config_class)

    def new(cls: type, *args: Any, **kwargs: Any) -> PreTrainedConfig:
        return chosen(kwargs)(*args, **kwargs)

    def from_dict(cls: type, config_dict: dict[str, Any], **kwargs: Any) -> PreTrainedConfig:
        return chosen(config_dict).from_dict(config_dict, **kwargs)

    body = {"__module__": "transformers.models", "__new__": new, "from_dict": classmethod(from_dict)}
    entry = type(config_class.__name__, (config_class,), body)
    AutoConfig.register(config_class.model_type, entry, exist_ok=True)
    AutoModelForMaskedLM.register(config_class, model_class, exist_ok=True)
    if experts:  # transformers looks for a word in the source of a class, which ours has from its parent
        model_class._can_set_experts_implementation = classmethod(lambda cls: True)
    stacked = get_checkpoint_conversion_mapping("qwen2_moe") if experts else []
    if mapping := [*stacked, *(conversions or [])]:
        register_checkpoint_conversion_mapping(config_class.model_type, mapping, overwrite=True)


def require(family: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse what the published code can be configured to and the model here cannot.

    Args:
        family: its name.
        given: published keys and values; None is as good as absent.
        expected: for some keys the one value that is supported.

    Raises:
        DenoiserError: another value is given.
    """
    for key, only in expected.items():
        if given.get(key) not in (None, only):
            raise DenoiserError(f"{family} with {key}={given[key]!r} is not supported: only {only!r} is.")


def without_nulls(published: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A published configuration without those of the keys that are null."""
    return {key: value for key, value in published.items() if value is not None or key not in keys}


def as_published(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration's dict with the published `rope_theta` and `rope_scaling` in place of `rope_parameters`.

    `is_causal`, which the published code has no use for, is left out.
    """
    flat = {key: value for key, value in config.items() if key != "is_causal"}
    rope = dict(flat.pop("rope_parameters", None) or {})
    flat["rope_theta"] = rope.get("rope_theta")
    if "partial_rotary_factor" in rope:
        flat["partial_rotary_factor"] = rope["partial_rotary_factor"]
    if rope.get("rope_type", "default") != "default":
        flat["rope_scaling"] = rope
    return flat
