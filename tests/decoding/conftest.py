"""The reference checkpoints for all tests of the loop."""

import pytest

from .goldens import checkpoint, holding


@pytest.fixture(scope="session", params=holding("config.json"), ids=lambda folder: folder.name)
def golden(request):
    """A reference checkpoint in float32."""
    return checkpoint(request.param)
