"""A trained network as a checkpoint in its family's published format: what `dus.load` reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def save(model: NativeLM, folder: Path, card: str) -> None:
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
