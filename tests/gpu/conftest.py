"""What runs on a GPU: `pytest -m gpu`, or on a processor in its place where DUS_GPU=cpu says so."""

import os
from pathlib import Path

import pytest
import torch

DEVICE = os.environ.get("DUS_GPU", "cuda")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path == Path(__file__).with_name("test_gpu.py"):  # the script's own small run is for a processor
            item.add_marker(pytest.mark.gpu)
            if DEVICE == "cuda" and not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="there is no GPU; DUS_GPU=cpu runs this on the processor"))


@pytest.fixture(autouse=True)
def exact_float32():
    """Products in float32 are float32's own, and not those of TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="session")
def device():
    """Where the tests run."""
    return torch.device(DEVICE)
