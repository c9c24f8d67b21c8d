"""The reference checkpoints for all tests of the loop."""

import pytest

from .goldens import checkpoint, traced


@pytest.fixture(scope="session", params=traced(), ids=lambda folder: folder.name)
def golden(request):
    """A reference checkpoint in float32."""
    return checkpoint(request.param)
