"""Reference checkpoints for the tests: those in `tests/data/golden`, or in the folder that DUS_GOLDEN names."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dus.denoisers import LladaConfig, LladaForMaskedLM, load

TINY = {
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 2,
    "mlp_hidden_size": 48,
    "vocab_size": 64,
    "max_sequence_length": 96,
    "mask_token_id": 2,
    "eos_token_id": 4,
    "pad_token_id": 4,
    "weight_tying": False,
}

torch.set_num_threads(
    1
)  # the models are tiny, and threads that wait for each other on a busy machine cost 100 times more

GOLDEN = Path(os.environ.get("DUS_GOLDEN") or Path(__file__).parents[1] / "data" / "golden")


def family(folder):
    """The family of a reference folder: its `model_type`, or "lladamoe"."""
    config = json.loads((folder / "config.json").read_text())
    return "lladamoe" if config["model_type"] == "llada" and "num_experts" in config else config["model_type"]


def checkpoints(*families):
    """The reference folders of the given families (all families if none is given)."""
    found = sorted(file.parent for file in GOLDEN.glob("*/config.json"))
    return [folder for folder in found if not families or family(folder) in families]


def pytest_generate_tests(metafunc):
    for fixture, families in (("golden", ()), ("llada", ("llada",)), ("dream", ("Dream",))):
        if fixture in metafunc.fixturenames:
            folders = checkpoints(*families)
            assert folders or families, f"{GOLDEN} holds no reference checkpoint"
            metafunc.parametrize(fixture, folders, ids=[folder.name for folder in folders], scope="session")


@pytest.fixture(scope="session")
def denoiser(golden):
    return load(golden, dtype="float32", device="cpu")


def published_logits(golden):
    """`input_ids` [N, L], and for each block length (None for full attention) the published code's own logits."""
    arrays = {name: torch.from_numpy(array) for name, array in np.load(golden / "logits.npz").items()}
    canvas = arrays.pop("input_ids")
    return canvas, {int(name[5:]) if name.startswith("block") else None: rows for name, rows in arrays.items()}


@pytest.fixture(scope="session")
def reference(golden, denoiser):
    """`input_ids` [N, L] and the published code's own logits [N, L, V], under the mask that `denoiser` has."""
    canvas, rows = published_logits(golden)
    return canvas, rows[denoiser.block_length]


@pytest.fixture
def folder(tmp_path):
    """A fresh LLaDA checkpoint of two layers, as this package saves it."""
    torch.manual_seed(0)
    model = LladaForMaskedLM(LladaConfig(**TINY))
    model.save_pretrained(tmp_path / "llada")
    return tmp_path / "llada"
