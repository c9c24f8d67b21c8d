"""From a folder or a hub id to a denoiser: safetensors only, every weight accounted for, one sentence on failure."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import is_accelerate_available

from dus.denoisers import adapters, packed
from dus.denoisers.arguments import is_placed, one_dtype, parted, place_of, type_of
from dus.denoisers.attention import choose_attention
from dus.denoisers.base import DenoiserError
from dus.denoisers.compiled import compile_forward
from dus.denoisers.experts import multiply_once, pack_experts
from dus.denoisers.files import check_weights, checkpoint_folder, read_config, some
from dus.denoisers.known import FAMILIES, SPLIT, UNSUPPORTED
from dus.denoisers.model import MaskedLM
from dus.denoisers.native import NativeLM
from dus.denoisers.quantized import check_quantized, quantization, quantize_body, with_own_names
from dus.denoisers.quiet import quiet_loading
from dus.denoisers.remote import check_attention, explained

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
_LARGE = 1 << 30  # bytes of weights from which on loading takes long enough for a progress bar


def load(
    path_or_hub_id: str | os.PathLike[str] | None = None,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    mask_token_id: int | None = None,
    block_length: int | None = None,
    shift: int | None = None,
    adapter: str | os.PathLike[str] | None = None,
    quantize: str | None = None,
    pack: bool = True,
    compile: bool | str = False,
    **model_kwargs: Any,
) -> MaskedLM:
    """Load a denoiser; `load()` gives the bundled model, `load("bundled-dream")` a smaller one in Dream's format.

    LLaDA and Dream checkpoints load natively, in their published formats, and on a CPU with packed weights, see
    `dus.denoisers.packed`. So do the masked LMs of transformers (BERT and its like), as they are; any other masked LM
    of the hub runs the code it brings, if that is trusted.

    Args:
        path_or_hub_id: A folder, which is never looked up in the network; the name of a bundled model; or a model id of
            the Hugging Face hub. An adapter loads with the model that it names.
        dtype: "auto" is the checkpoint's own on a GPU, and on a CPU bfloat16 where the processor computes in it,
            else float32. Or a torch dtype, or its name.
        device: "auto" is the GPU if there is one. `device_map` is said in its place, not beside it.
        revision: Branch, tag or commit of a hub id.
        trust_remote_code: Run the model code that comes with the checkpoint, for families not known here.
        mask_token_id: For checkpoints that do not name their mask token.
        block_length: How many tokens a block of the attention mask has, for families whose attention is block-causal
            and checkpoints that do not say it. (How many tokens are decoded together is an argument of
            `dus.generate`.)
        shift: How many positions before a token the row stands that predicts it, for models that bring their own code:
            0, or 1 where row i predicts token i + 1, as in models made of autoregressive ones. Families known here
            have theirs.
        adapter: Folder or hub id of a LoRA adapter, which is merged into the weights; `dus.denoisers.adapters`.
        quantize: "int8" keeps the weights of linear layers in eight bits, by torchao: less memory, almost the same
            logits; see `dus.denoisers.quantized`.
        pack: Whether the weights of linear layers are laid out anew on a CPU, for inference; False gives plain layers,
            to be trained or adapted.
        compile: Have torch generate code for the forward, which takes its time at the first calls; a text is a mode of
            `torch.compile`, such as "reduce-overhead". Meant for a GPU, where launching kernels one by one costs more
            than small steps do. See `dus.denoisers.compiled`.
        model_kwargs: Arguments of the hub's client: `token`, `cache_dir`, `local_files_only`, `subfolder`,
            `force_download` and `proxies`; of transformers' `from_pretrained` `attn_implementation`,
            `quantization_config`, `device_map` (several devices and "disk" too), `max_memory`, `tp_plan`, `variant`, …
            (`dus.denoisers.arguments`); and `torch_dtype`, the older name of `dtype`.

    Raises:
        DenoiserError: What is missing, damaged, unknown or unsupported, in one sentence. A model with a weight
            that the checkpoint lacks is never returned.
    """
    dtype = one_dtype(dtype, model_kwargs.pop("torch_dtype", None))
    hub, passed = parted(model_kwargs)
    folder = checkpoint_folder(path_or_hub_id, revision, trust_remote_code, **hub)
    folder, lora = adapters.model_and_adapter(folder, adapter, trust_remote_code, **hub)
    config = read_config(folder)
    asked = passed.get("quantization_config")
    check_quantized(config, folder, asked)
    progress = check_weights(folder) >= _LARGE
    native = config["model_type"] in FAMILIES
    trusted = trust_remote_code and not native
    auto = AutoModelForMaskedLM if native else _auto_class(config, trusted)
    target, placed = _placement(device, passed)
    if quantize is not None and asked is not None:
        raise DenoiserError("quantize and quantization_config say the same twice: leave one out.")
    if quantize is not None and (how := passed.get("experts_implementation")) not in (None, "eager"):
        raise DenoiserError(f"experts_implementation={how!r} multiplies plain weights alone: leave it out or quantize.")
    late = lora is not None or config["model_type"] in SPLIT
    if quantize is not None and not late:
        passed["quantization_config"] = quantization(quantize, native=native)
    if native:
        passed |= with_own_names(config, folder, asked)
    with quiet_loading(progress):
        model = _model(auto, folder, config, dtype=type_of(dtype, target), trust_remote_code=trusted, **passed)
        tokenizer = _tokenizer(folder, lora, trusted)
        if lora is not None:
            adapters.check_vocabulary(tokenizer, model.config.vocab_size, lora)
            model = adapters.merge(model, lora)
        if quantize is not None and late:
            quantize_body(model, quantize, native=native)
    if not placed:
        model.to(target)
    if block_length is not None:
        _set_block_length(model, block_length)
    denoiser = (NativeLM if native else MaskedLM)(model, tokenizer, mask_token_id=mask_token_id, shift=shift)
    if not native:
        check_attention(denoiser, folder, config)
    return prepared(denoiser, compile, pack=pack, experts=passed.get("experts_implementation") is None)


def _placement(device: str | torch.device, passed: dict[str, Any]) -> tuple[torch.device, bool]:
    """Where the model computes, and whether `from_pretrained`, told so in `passed`, puts it there."""
    mapped = passed.get("device_map")
    if mapped is not None and device != "auto":
        raise DenoiserError(f"device={str(device)!r} and device_map say the same twice: leave one out.")
    target, placed = place_of(device if mapped is None else mapped), is_placed(passed)
    if target.type != "cpu" and not placed and is_accelerate_available():
        passed["device_map"] = target  # straight there, without a copy in the main memory
        placed = True
    return target, placed


def prepared(denoiser: MaskedLM, compile: bool | str, *, pack: bool = True, experts: bool = True) -> MaskedLM:
    """The same denoiser, made fast: weights packed and attention chosen on a CPU, the forward compiled if asked for.

    Args:
        denoiser: Changed in place.
        compile, pack: As for `load`.
        experts: Whether experts are packed too, and how they compute is chosen.
    """
    if isinstance(denoiser, NativeLM):
        if pack:
            packed.pack(denoiser.model)
            if experts:
                pack_experts(denoiser.model)
        if experts:
            multiply_once(denoiser.model)
        choose_attention(denoiser.model)
    if compile:
        compile_forward(denoiser.body, "default" if compile is True else compile)
    return denoiser


def _set_block_length(model: Any, block_length: int) -> None:
    """Have the configuration of a block-causal model say another block than it did; saving keeps it."""
    if not hasattr(model.config, "block_length"):
        raise DenoiserError(
            f"{type(model).__name__} attends to the whole canvas: block_length={block_length} has no meaning for the "
            "model; dus.generate takes the block_length that is decoded together."
        )
    if isinstance(block_length, bool) or not isinstance(block_length, int) or block_length < 1:
        raise DenoiserError(f"block_length is {block_length!r}: it has to be an int, at least 1.")
    model.config.block_length = block_length


def _auto_class(config: dict[str, Any], trusted: bool) -> Any:
    """The auto class of transformers that loads a family not known here."""
    if reason := UNSUPPORTED.get(config["model_type"]):
        raise DenoiserError(f"Models of the model_type {config['model_type']!r} are not supported: {reason}.")
    if trusted:
        auto_map = config.get("auto_map") or {}
        for auto in (AutoModelForMaskedLM, AutoModelForCausalLM, AutoModel):
            if auto.__name__ in auto_map:
                return auto
    if config["model_type"] in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return AutoModelForMaskedLM
    known = ", ".join(f"{model_type!r} ({models})" for model_type, models in FAMILIES.items())
    raise DenoiserError(
        f"No family here has the model_type {config['model_type']!r}; known are {known} and the masked LMs of "
        "transformers, and a masked LM that brings its own code in auto_map loads with trust_remote_code=True."
    )


def _model(auto: Any, folder: Path, published: dict[str, Any], **kwargs: Any) -> Any:
    """The transformers model in evaluation mode, every weight of it from the checkpoint."""
    try:
        model, report = auto.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # refused below, with their names
            output_loading_info=True,
            **kwargs,
        )
    except DenoiserError:
        raise
    except PackageNotFoundError as error:
        raise DenoiserError(f"{folder} cannot be loaded without {error.name}: pip install {error.name}.") from error
    except SafetensorError as error:
        raise DenoiserError(f"A weights file in {folder} is damaged or incomplete: {error}.") from error
    except Exception as error:  # transformers raises whatever comes of a config that no model has
        if kwargs["trust_remote_code"] and not isinstance(error, OSError | RuntimeError | ValueError):
            raise explained(error, folder, published) from error
        raise DenoiserError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    if misfits := [f"{name} {list(got)} for {list(want)}" for name, got, want in report["mismatched_keys"]]:
        raise DenoiserError(f"The weights in {folder} do not fit its config.json: {some(misfits)}.")
    if missing := report["missing_keys"]:
        raise DenoiserError(f"The weights in {folder} lack {some(missing)}.")
    # Heads for another task are common around a BERT, and do no harm; a known family has no spare weights.
    if published["model_type"] in FAMILIES and (unexpected := report["unexpected_keys"]):
        raise DenoiserError(f"The weights in {folder} hold {some(unexpected)}, which the model has no place for.")
    model.eval()
    if (
        model._forward_pre_hooks
    ):  # a quantizer that unpacks weights when the whole model is first called: only parts are
        with torch.no_grad():
            model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device))
    return model


def _tokenizer(folder: Path, adapter: Path | None, trusted: bool) -> Any:
    """The adapter's tokenizer, else the model's, or None where there is none."""
    having = [each for each in (adapter, folder) if each and any((each / name).exists() for name in _TOKENIZERS)]
    if not having:
        return None
    try:
        return AutoTokenizer.from_pretrained(having[0], local_files_only=True, trust_remote_code=trusted)
    except Exception as error:  # the tokenizers library raises plain Exception on a broken file
        raise DenoiserError(f"The tokenizer in {having[0]} cannot be loaded: {error}.") from error
