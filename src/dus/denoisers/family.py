"""What the families have in common: registration, options that must have one value, published keys and matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.core_model_loading import Concatenate, ConversionOps

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
        config_class: The configuration; its `model_type` is the published one.
        model_class: The model.
        conversions: What leads from published weight names to those of the model.
        experts: Whether experts are published one by one, as transformers stacks them for Qwen's.
        choose: Tells the configuration class of a published configuration where a `model_type` is shared.
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
        family: Its name.
        given: Published keys and values; None is as good as absent.
        expected: For some keys the one value that is supported.

    Raises:
        DenoiserError: Another value is given.
    """
    for key, only in expected.items():
        if given.get(key) not in (None, only):
            raise DenoiserError(f"{family} with {key}={given[key]!r} is not supported: only {only!r} is.")


def require_full(family: str, config: Any) -> None:
    """Refuse layers that see only what is near, which transformers' Qwen has and no family here.

    Raises:
        DenoiserError: `use_sliding_window` is true, or `layer_types` names other layers than `full_attention`.
    """
    require(family, {"use_sliding_window": config.use_sliding_window}, {"use_sliding_window": False})
    for kind in getattr(config, "layer_types", None) or ():
        require(family, {"layer_types": kind}, {"layer_types": "full_attention"})


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


class HeadParts(ConversionOps):
    """Queries, keys and values, as many rows of one published matrix as the configuration has heads of each.

    transformers has such an operation, `Split`, since 5.23; SGLang comes with an older one.
    """

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **kwargs: Any
    ) -> dict[str, Any]:
        """The three tensors by their names."""
        (found,) = input_dict.values()
        whole, config = found[0] if isinstance(found, list) else found, kwargs["config"]
        heads = [config.num_attention_heads, *[config.num_key_value_heads] * 2]
        parts = whole.split([whole.shape[0] * number // sum(heads) for number in heads])
        return {name: part.contiguous() for name, part in zip(target_patterns, parts, strict=True)}

    @property
    def reverse_op(self) -> ConversionOps:
        """Back into one matrix."""
        return Concatenate(dim=0)
