"""The checkpoints that come along: small, in published formats, and what transformers' own models make of them."""

import json
import re
from functools import reduce
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import dus
from dus.denoisers.files import BUNDLED

MEGABYTES = {"bundled": 16, "bundled-dream": 6}
LLADA_NAMES = [
    (r"^model\.transformer\.wte\.", "model.embed_tokens."),
    (r"^model\.transformer\.ln_f\.", "model.norm."),
    (r"^model\.transformer\.ff_out\.", "lm_head."),
    (r"\.attn_norm\.", ".input_layernorm."),
    (r"\.(q_proj|k_proj|v_proj)\.", r".self_attn.\1."),
    (r"\.attn_out\.", ".self_attn.o_proj."),
    (r"\.ff_norm\.", ".post_attention_layernorm."),
    (r"\.ff_proj\.", ".mlp.gate_proj."),
    (r"\.up_proj\.", ".mlp.up_proj."),
    (r"\.ff_out\.", ".mlp.down_proj."),
    (r"^model\.transformer\.blocks\.", "model.layers."),
]


def folder(name):
    return Path(str(resources.files("dus") / "assets" / name))


def weights(name):
    return {key: value for file in folder(name).glob("*.safetensors") for key, value in load_file(file).items()}


def llama(config):
    """Transformers' Llama with the weights of a LLaDA, renamed here."""
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config["embedding_size"],
            hidden_size=config["d_model"],
            intermediate_size=config["mlp_hidden_size"],
            num_hidden_layers=config["n_layers"],
            num_attention_heads=config["n_heads"],
            num_key_value_heads=config["n_kv_heads"],
            rms_norm_eps=config["rms_norm_eps"],
            rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
        )
    )
    made.load_state_dict({renamed(key): value for key, value in weights("bundled").items()})
    return made


def renamed(key):
    return reduce(lambda name, change: re.sub(*change, name), LLADA_NAMES, key)


def qwen(config):
    """Transformers' Qwen2 with the weights of a Dream, whose names are the same."""
    made = Qwen2ForCausalLM(Qwen2Config(**{key: config[key] for key in config if key != "model_type"}))
    made.load_state_dict(weights("bundled-dream"))
    return made


@pytest.mark.parametrize(("name", "make", "shift"), [("bundled", llama, 0), ("bundled-dream", qwen, 1)])
def test_logits_are_those_of_transformers_own_model_attending_both_ways(name, make, shift):
    denoiser = dus.load(name, dtype="float32", device="cpu")
    reference = make(json.loads((folder(name) / "config.json").read_text())).float().eval()
    canvas = torch.randint(2, denoiser.vocab_size, (3, 40), generator=torch.Generator().manual_seed(0))
    canvas[:, 20:] = denoiser.mask_token_id
    everywhere = torch.zeros(1, 1, 40, 40)
    with torch.no_grad():
        expected = reference(input_ids=canvas, attention_mask=everywhere).logits
    found = denoiser.logits(canvas, read=torch.arange(shift, 40))
    torch.testing.assert_close(found, expected[:, : 40 - shift], atol=2e-4, rtol=2e-4)
    assert denoiser.shift == shift


@pytest.mark.parametrize("name", BUNDLED)
def test_it_is_small_has_a_card_and_answers_in_its_chat_template(name):
    held = sum(file.stat().st_size for file in folder(name).glob("*.safetensors"))
    assert held <= MEGABYTES[name] * 2**20
    assert "dus train" in (folder(name) / "README.md").read_text()
    denoiser = dus.load(name, device="cpu")
    question = "Tom has 5 apples and buys 7 more. How many apples does Tom have now?"
    made = dus.generate(denoiser, question, planner="confidence", max_new_tokens=32, block_length=32)
    assert len(made.text[0].split()) > 3


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    (tmp_path / "bundled").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dus.denoisers.DenoiserError, match=r"bundled has no config.json"):
        dus.load("bundled")
    assert dus.load(device="cpu").vocab_size > 900
