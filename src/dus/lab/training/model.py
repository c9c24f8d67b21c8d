"""The networks that are trained: transformers' Llama and Qwen2 attending both ways, as LLaDA and Dream do.

`check` trains every other family as well, for a minute.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from dus.denoisers import NativeLM

SHARD_SIZE = "16MB"


def as_checkpoint(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, tied: bool = False) -> NativeLM:
    """The network's weights, copied and in bfloat16, as a denoiser of its family on the network's device.

    With `tied` the checkpoint holds the embedding once, which is the head too, as it is while training; the published
    checkpoints hold two matrices.
    """
    from dus.denoisers import DreamConfig, DreamForMaskedLM, LladaConfig, LladaForMaskedLM

    kinds: dict[str, tuple[Any, Any]] = {
        "llama": (LladaConfig, LladaForMaskedLM),
        "qwen2": (DreamConfig, DreamForMaskedLM),
    }
    trained = network.config
    if trained.model_type not in kinds:
        config = type(trained).from_dict({**trained.to_dict(), "tie_word_embeddings": tied})
        return _copied(network, type(network)(config), tokenizer)
    make_config, make_model = kinds[trained.model_type]
    config = make_config(
        vocab_size=trained.vocab_size,
        hidden_size=trained.hidden_size,
        intermediate_size=trained.intermediate_size,
        num_hidden_layers=trained.num_hidden_layers,
        num_attention_heads=trained.num_attention_heads,
        num_key_value_heads=trained.num_key_value_heads,
        max_position_embeddings=trained.max_position_embeddings,
        rms_norm_eps=trained.rms_norm_eps,
        rope_parameters=trained.rope_parameters,
        tie_word_embeddings=tied,
        mask_token_id=tokenizer.mask_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _copied(network, make_model(config), tokenizer)


def _copied(network: PreTrainedModel, model: Any, tokenizer: PreTrainedTokenizerFast) -> NativeLM:
    import torch

    from dus.denoisers import NativeLM

    model.load_state_dict(network.state_dict())
    return NativeLM(model.to(network.device, torch.bfloat16).eval(), tokenizer)


def save_checkpoint(model: NativeLM, folder: Path, card: str) -> None:
    """Writes config, weights, tokenizer and `README.md`; the folder appears, or is replaced, when all is written.

    Weights beyond 16 MB are split into shards of at most that, with an index.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.model.save_pretrained(partial, max_shard_size=SHARD_SIZE)
    model.tokenizer.save_pretrained(partial, save_jinja_files=False)
    (partial / "generation_config.json").unlink(missing_ok=True)
    (partial / "README.md").write_text(card, encoding="utf-8")
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone
    former = folder.with_name(folder.name + ".former")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    partial.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


GRAIN = 512  # masked positions are counted in such grains: every other count of rows costs memory for its own kernels


@dataclass(frozen=True)
class Size:
    """The shape of a network; `mlp` is the width of the gated hidden layer.

    `family` says whose architecture and checkpoint format: `llada` (Llama, position i predicted from i), `dream`
    (Qwen2: biases, `kv_heads` groups, position i predicted from i - 1), or the `model_type` of any other family.
    """

    width: int
    layers: int
    heads: int
    mlp: int
    kv_heads: int
    family: str = "llada"
    max_length: int = 512


SIZES = {
    "bundled": Size(width=256, layers=4, heads=4, mlp=1024, kv_heads=4),
    "base": Size(width=640, layers=8, heads=10, mlp=2560, kv_heads=10),
    "dream": Size(width=192, layers=4, heads=6, mlp=640, kv_heads=2, family="dream"),
}


def build(size: Size, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A network with random weights, float32.

    The embedding and the head are one matrix while training, which the published checkpoints' are not (an exported one
    then holds it twice): copying a word from the question is then one map for all words, and is learned in a fraction
    of the steps.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    if size.family not in ("llada", "dream"):
        return _of_family(size, tokenizer, seed)
    kinds: dict[str, tuple[Any, Any]] = {
        "llada": (LlamaConfig, LlamaForCausalLM),
        "dream": (Qwen2Config, Qwen2ForCausalLM),
    }
    make_config, make_network = kinds[size.family]
    config = make_config(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.max_length,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # the end token pads, and has to be learned like any other
    )
    config.is_causal = False
    config.mask_token_id = tokenizer.mask_token_id
    torch.manual_seed(seed)
    network = make_network(config)
    network._keys_to_ignore_on_save = ["lm_head.weight"]  # checkpoints hold it once, as the embedding
    return network


BLOCK = 32
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
_OF_FAMILY: dict[str, dict[str, Any]] = {
    "lladamoe": {**_EXPERTS, "mlp_only_layers": [0]},
    "sdar_moe": {**_EXPERTS, "mlp_only_layers": [0]},
    "llada2_moe": {**_EXPERTS, "n_group": 1, "topk_group": 1},
    "nemotron_labs_diffusion": {"tie_word_embeddings": False},
}


def _of_family(size: Size, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A network of any family that loads natively, with blocks of 32 where its attention is block-causal."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    import dus.denoisers  # noqa: F401 (makes the families known)

    config = AutoConfig.for_model(size.family)
    config = type(config)(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.max_length,
        eos_token_id=tokenizer.eos_token_id,
        mask_token_id=tokenizer.mask_token_id,
        **({"head_dim": size.width // size.heads} if getattr(config, "head_dim", None) else {}),
        **({"block_length": BLOCK} if getattr(config, "block_length", None) else {}),
        **{"tie_word_embeddings": True, **_OF_FAMILY.get(size.family, {})},
    )
    torch.manual_seed(seed)
    network = AutoModelForMaskedLM.from_config(config)
    if "num_experts" in _OF_FAMILY.get(size.family, {}):
        network.set_experts_implementation("eager")  # the one that takes bfloat16 activations beside float32 weights
    return network


def autocast(device: str) -> torch.autocast:
    """Products in bfloat16 on devices of a type that compute in it, in float32 on others (`fast_type`)."""
    import torch

    from dus.denoisers.arguments import fast_type

    kind = fast_type(device)
    return torch.autocast(device, kind, enabled=kind is not torch.float32)


def masked_logits(model: PreTrainedModel, tokens: Tensor, masked: Tensor) -> Tensor:
    """The logits, [M, V], at the M positions of `masked` (bool [N, L], row-major) when those are masks in `tokens`."""
    from torch.nn.functional import pad

    canvas = tokens.masked_fill(masked, model.config.mask_token_id)
    hidden = model.model(input_ids=canvas, attention_mask=_block_mask(model, canvas)).last_hidden_state
    rows, columns = masked.nonzero(as_tuple=True)
    count, width = len(rows), masked.shape[1]
    shift = getattr(model, "shift", int(model.config.model_type == "qwen2"))
    read = (columns - shift).clamp(min=0)
    places = pad(rows * width + read, (0, -count % GRAIN))
    return model.lm_head(hidden.flatten(0, 1)[places])[:count]


def _block_mask(model: PreTrainedModel, canvas: Tensor) -> Tensor | None:
    """The mask of a block-causal network, bool [1, 1, L, L]; None where attention reaches over the whole canvas."""
    import torch

    block = getattr(model.config, "block_length", None)
    if block is None:
        return None
    of = torch.arange(canvas.shape[1], device=canvas.device) // block
    return (of[:, None] >= of)[None, None]
