"""From a folder or a hub id to a denoiser: safetensors only, every weight accounted for, one sentence on failure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import is_accelerate_available, logging

from dus.denoisers.attention import choose_attention
from dus.denoisers.base import DenoiserError
from dus.denoisers.compiled import compile_forward
from dus.denoisers.files import check_weights, checkpoint_folder, read_config
from dus.denoisers.known import FAMILIES
from dus.denoisers.model import MaskedLM
from dus.denoisers.native import NativeLM
from dus.denoisers.packed import pack
from dus.denoisers.quantized import quantization

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
_PLACING = {"device_map", "quantization_config", "tp_plan", "tp_size", "distributed_config"}
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
    quantize: str | None = None,
    compile: bool | str = False,
    **model_kwargs: Any,
) -> MaskedLM:
    """Load a denoiser; `load()` gives the bundled model, `load("bundled-dream")` a smaller one in Dream's format.

    LLaDA and Dream checkpoints load natively, in their published formats, and on a CPU with packed weights, see
    `dus.denoisers.packed`. So do the masked LMs of transformers (BERT and its like), as they are; any other masked LM
    of the hub runs the code it brings, if that is trusted.

    Args:
        path_or_hub_id: a folder, which is never looked up in the network; the name of a bundled model; or a model id of
            the Hugging Face hub.
        dtype: "auto" is the checkpoint's own on a GPU, and on a CPU bfloat16 where the processor computes in it,
            else float32. Or a torch dtype, or its name.
        device: "auto" is the GPU if there is one. Without effect where `model_kwargs` place the model.
        revision: branch, tag or commit of a hub id.
        trust_remote_code: run the model code that comes with the checkpoint, for families not known here. Its
            logits row i must predict token i.
        mask_token_id: for checkpoints that do not name their mask token.
        block_length: how many tokens a block of the attention mask has, for families whose attention is block-causal
            and checkpoints that do not say it. (How many tokens are decoded together is an argument of
            `dus.generate`.)
        quantize: "int8" keeps the weights of linear layers in eight bits, by torchao: less memory, almost the same
            logits; see `dus.denoisers.quantized`.
        compile: have torch generate code for the forward, which takes its time at the first calls; a text is a mode of
            `torch.compile`, such as "reduce-overhead". Meant for a GPU, where launching kernels one by one costs more
            than small steps do. See `dus.denoisers.compiled`.
        model_kwargs: passed to `from_pretrained`: `quantization_config`, `device_map`, `tp_plan`,
            `attn_implementation`, …

    Raises:
        DenoiserError: what is missing, damaged, unknown or unsupported, in one sentence. A model with a weight
            that the checkpoint lacks is never returned.
    """
    folder = checkpoint_folder(path_or_hub_id, revision, code=trust_remote_code)
    config = read_config(folder)
    progress = check_weights(folder) >= _LARGE
    native = config["model_type"] in FAMILIES
    trusted = trust_remote_code and not native
    auto = AutoModelForMaskedLM if native else _auto_class(config, trusted)
    target = place_of(model_kwargs.get("device_map") or device)
    placed = bool(_PLACING & model_kwargs.keys())
    if target.type != "cpu" and not placed and is_accelerate_available():
        model_kwargs["device_map"] = target  # straight there, without a copy in the main memory
        placed = True
    if quantize is not None:
        if "quantization_config" in model_kwargs:
            raise DenoiserError("quantize and quantization_config say the same twice: leave one out.")
        model_kwargs["quantization_config"] = quantization(quantize)
    with _quiet(progress):
        model = _model(auto, folder, native, dtype=type_of(dtype, target), trust_remote_code=trusted, **model_kwargs)
        tokenizer = _tokenizer(folder, trusted)
    if not placed:
        model.to(target)
    if block_length is not None:
        _set_block_length(model, block_length)
    denoiser = (NativeLM if native else MaskedLM)(model, tokenizer, mask_token_id=mask_token_id)
    return prepared(denoiser, compile)


def prepared(denoiser: MaskedLM, compile: bool | str) -> MaskedLM:
    """The same denoiser, made fast: weights packed and attention chosen on a CPU, the forward compiled if asked for.

    Args:
        denoiser: changed in place.
        compile: as for `load`.
    """
    if isinstance(denoiser, NativeLM):
        pack(denoiser.model)
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


def place_of(place: Any) -> torch.device:
    """The device that a `device` or a `device_map` comes down to; the first GPU where that is left open."""
    available = torch.accelerator.current_accelerator(check_available=True)
    if isinstance(place, dict) or place in ("auto", "balanced", "balanced_low_0", "sequential"):
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
        return torch.bfloat16 if _computes_bfloat16() else torch.float32
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


def _computes_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions; with emulated ones float32 is faster."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _model(auto: Any, folder: Path, native: bool, **kwargs: Any) -> Any:
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
    except SafetensorError as error:
        raise DenoiserError(f"A weights file in {folder} is damaged or incomplete: {error}.") from error
    except Exception as error:  # transformers raises whatever comes of a config that no model has
        raise DenoiserError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    if misfits := [f"{name} {list(got)} for {list(want)}" for name, got, want in report["mismatched_keys"]]:
        raise DenoiserError(f"The weights in {folder} do not fit its config.json: {_some(misfits)}.")
    if missing := report["missing_keys"]:
        raise DenoiserError(f"The weights in {folder} lack {_some(missing)}.")
    # Heads for another task are common around a BERT, and do no harm; a known family has no spare weights.
    if native and (unexpected := report["unexpected_keys"]):
        raise DenoiserError(f"The weights in {folder} hold {_some(unexpected)}, which the model has no place for.")
    return model.eval()


def _tokenizer(folder: Path, trusted: bool) -> Any:
    """The folder's tokenizer, or None where it has none."""
    if not any((folder / name).exists() for name in _TOKENIZERS):
        return None
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
    except Exception as error:  # the tokenizers library raises plain Exception on a broken file
        raise DenoiserError(f"The tokenizer in {folder} cannot be loaded: {error}.") from error


def _some(weights: Iterable[str]) -> str:
    """The first few of many weights."""
    listed = sorted(weights)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


@contextmanager
def _quiet(progress: bool) -> Iterator[None]:
    """Transformers without its warnings, which the errors here repeat, and without a progress bar for a blink."""
    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not progress:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
