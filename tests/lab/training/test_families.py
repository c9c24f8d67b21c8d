"""`dus train --check --family`: every family is trained, saved in its published format, and loads from there."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from dus.cli import main
from dus.denoisers import load
from dus.denoisers.known import FAMILIES
from dus.lab.training import check
from dus.lab.training.model import Size, build, masked_logits
from dus.lab.training.settings import TrainingError
from dus.lab.training.tokenizer import build as words

TINY = replace(
    check.SETTINGS,
    steps=2,
    decay=1,
    size=Size(width=32, layers=2, heads=4, mlp=32, kv_heads=2),
    tasks=("arithmetic",),
    tokens_per_batch=256,
    probe_every=2,
    try_every=1000,
    judged=1,
    judged_levels=(1,),
)
NAMES = {  # one published name of each format
    "llada": "model.transformer.blocks.1.ff_proj.weight",
    "lladamoe": "model.layers.1.mlp.experts.3.gate_proj.weight",
    "llada2_moe": "model.layers.1.attention.query_key_value.weight",
    "sdar_moe": "model.layers.1.mlp.experts.3.down_proj.weight",
    "nemotron_labs_diffusion": "encoder.layers.1.mlp.up_proj.weight",
}


@pytest.fixture(scope="module")
def vocabulary():
    return words(("arithmetic",))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_of_every_family_is_trained_saved_and_loaded(family, monkeypatch, tmp_path):
    monkeypatch.setattr(check, "SETTINGS", TINY)
    _, report = check.check(tmp_path / "run", family=family)
    assert "nats a token" in report
    folder = tmp_path / "run" / "model"
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == ("llada" if family == "lladamoe" else family)
    names = {name for file in folder.glob("*.safetensors") for name in load_file(file)}
    assert NAMES.get(family, "model.layers.1.mlp.down_proj.weight") in names
    ours = load(folder, dtype="float32", device="cpu")
    theirs = AutoModelForMaskedLM.from_pretrained(folder, dtype="float32").eval()
    assert type(theirs) is type(ours.model)
    canvas = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = theirs(input_ids=canvas).logits
    read = torch.arange(ours.shift, 20)
    torch.testing.assert_close(ours.logits(canvas, read=read), expected[:, read - ours.shift], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", ["sdar", "llada2_moe", "Fast_dLLM_Qwen", "a2d-qwen3", "lladamoe"])
def test_training_sees_what_decoding_sees(family, vocabulary):
    """The logits that are trained are those of the denoiser, under the block-causal mask where there is one."""
    from dus.lab.training.model import as_checkpoint

    size = Size(width=32, layers=2, heads=4, mlp=32, kv_heads=2, family=family)
    network = build(size, vocabulary, 0).eval()
    canvas = torch.randint(5, len(vocabulary), (2, 70), generator=torch.Generator().manual_seed(0))
    masked = torch.rand(canvas.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    denoiser = as_checkpoint(network, vocabulary)
    denoiser.model.float()
    network.load_state_dict(denoiser.model.state_dict())  # both rounded
    with torch.no_grad():
        trained = masked_logits(network, canvas, masked)
    assert denoiser.block_length == (None if family in ("a2d-qwen3", "lladamoe") else 32)
    seen = denoiser.logits(canvas.masked_fill(masked, denoiser.mask_token_id), read=torch.arange(70))
    torch.testing.assert_close(seen[masked], trained, atol=1e-3, rtol=1e-3)  # angles were rounded too


def test_families_that_there_are(capsys, tmp_path):
    with pytest.raises(TrainingError, match="no family 'gpt': the families are llada, lladamoe"):
        check.check(tmp_path / "run", family="gpt")
    assert main(["train", "--out", str(tmp_path / "x"), "--family", "sdar"]) == 2
    assert "it goes with --check" in capsys.readouterr().err
