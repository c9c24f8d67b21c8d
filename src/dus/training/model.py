"""The network that is trained: transformers' Llama with attention in both directions, which is LLaDA's architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Size:
    """The shape of a network; `mlp` is the width of the gated hidden layer."""

    width: int
    layers: int
    heads: int
    mlp: int
    max_length: int = 512


BUNDLED = Size(width=256, layers=4, heads=4, mlp=1024)


def build(size: Size, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A network with random weights, float32.

    The embedding and the head are one matrix while training, which LLaDA's are not (its checkpoint then holds it
    twice): copying a word from the question is then one map for all words, and is learned in a fraction of the steps.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
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
    network = LlamaForCausalLM(config)
    network._keys_to_ignore_on_save = ["lm_head.weight"]  # checkpoints hold it once, as the embedding
    return network


def masked_logits(model: LlamaForCausalLM, tokens: Tensor, masked: Tensor) -> Tensor:
    """The logits, [M, V], at the M positions of `masked` (bool [N, L], row-major) when those are masks in `tokens`."""
    canvas = tokens.masked_fill(masked, model.config.mask_token_id)
    hidden = model.model(input_ids=canvas).last_hidden_state
    return model.lm_head(hidden[masked])
