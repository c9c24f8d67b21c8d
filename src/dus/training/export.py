"""A trained network as a checkpoint in LLaDA's published format: what `dus.load` reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from dus.denoisers import Checkpoint


def as_llada(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    """The network's weights, copied and in bfloat16, as a LLaDA denoiser on the network's device."""
    import torch

    from dus.denoisers import Checkpoint, LladaConfig, LladaForMaskedLM

    llama = network.config
    config = LladaConfig(
        vocab_size=llama.vocab_size,
        hidden_size=llama.hidden_size,
        intermediate_size=llama.intermediate_size,
        num_hidden_layers=llama.num_hidden_layers,
        num_attention_heads=llama.num_attention_heads,
        num_key_value_heads=llama.num_key_value_heads,
        max_position_embeddings=llama.max_position_embeddings,
        rms_norm_eps=llama.rms_norm_eps,
        rope_parameters=llama.rope_parameters,
        tie_word_embeddings=False,
        mask_token_id=tokenizer.mask_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LladaForMaskedLM(config)
    model.load_state_dict(network.state_dict())
    return Checkpoint(model.to(network.device, torch.bfloat16).eval(), tokenizer)


def save(model: Checkpoint, folder: Path, card: str) -> None:
    """Writes config, weights, tokenizer and `README.md`; the folder appears, or is replaced, when all is written."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.model.save_pretrained(partial)
    model.tokenizer.save_pretrained(partial, save_jinja_files=False)
    (partial / "generation_config.json").unlink(missing_ok=True)
    (partial / "README.md").write_text(card, encoding="utf-8")
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
