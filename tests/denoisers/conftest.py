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


def checkpoints(*model_types):
    """The reference folders of the given families (all families if none is given)."""
    found = sorted(file.parent for file in GOLDEN.glob("*/config.json"))
    types = {folder: json.loads((folder / "config.json").read_text())["model_type"] for folder in found}
    return [folder for folder in found if not model_types or types[folder] in model_types]


def pytest_generate_tests(metafunc):
    for fixture, model_types in (("golden", ()), ("llada", ("llada",)), ("dream", ("Dream",))):
        if fixture in metafunc.fixturenames:
            folders = checkpoints(*model_types)
            assert folders or model_types, f"{GOLDEN} holds no reference checkpoint"
            metafunc.parametrize(fixture, folders, ids=[folder.name for folder in folders], scope="session")


@pytest.fixture(scope="session")
def denoiser(golden):
    return load(golden, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def reference(golden):
    """`input_ids` [N, L] and the published code's own logits [N, L, V]."""
    arrays = np.load(golden / "logits.npz")
    (name,) = set(arrays.files) - {"input_ids"}
    return torch.from_numpy(arrays["input_ids"]), torch.from_numpy(arrays[name])


@pytest.fixture
def folder(tmp_path):
    """A fresh LLaDA checkpoint of two layers, as this package saves it."""
    torch.manual_seed(0)
    model = LladaForMaskedLM(LladaConfig(**TINY))
    model.save_pretrained(tmp_path / "llada")
    return tmp_path / "llada"
