"""The bundled model in float32, and a server of it."""

import pytest

import dus

from .running import running


@pytest.fixture(scope="session")
def model():
    return dus.load(dtype="float32")


@pytest.fixture(scope="module")
def server(model):
    with running(model) as server:
        yield server
