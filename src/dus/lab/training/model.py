"""The networks that are trained: transformers' Llama and Qwen2 attending both ways, as LLaDA and Dream do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GRAIN = 512  # masked positions are counted in such grains: every other count of rows costs memory for its own kernels


@dataclass(frozen=True)
class Size:
    """The shape of a network; `mlp` is the width of the gated hidden layer.

    `family` says whose architecture and checkpoint format: `llada` (Llama, position i predicted from i) or `dream`
    (Qwen2: biases, `kv_heads` groups, position i predicted from i - 1).
    """

    width: int
    layers: int
    heads: int
    mlp: int
    kv_heads: int
    family: Literal["llada", "dream"] = "llada"
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


def masked_logits(model: PreTrainedModel, tokens: Tensor, masked: Tensor) -> Tensor:
    """The logits, [M, V], at the M positions of `masked` (bool [N, L], row-major) when those are masks in `tokens`."""
    from torch.nn.functional import pad

    canvas = tokens.masked_fill(masked, model.config.mask_token_id)
    hidden = model.model(input_ids=canvas).last_hidden_state
    rows, columns = masked.nonzero(as_tuple=True)
    count, width = len(rows), masked.shape[1]
    read = (columns - 1).clamp(min=0) if model.config.model_type == "qwen2" else columns
    places = pad(rows * width + read, (0, -count % GRAIN))
    return model.lm_head(hidden.flatten(0, 1)[places])[:count]
