"""What is measured does not depend on whether the device has float64."""

import numpy as np
import pytest
import torch

from dus.denoisers import from_callable
from dus.lab.theory.gap import gaps
from dus.lab.theory.known import of_blocks
from dus.lab.theory.losses import losses
from dus.lab.theory.texts import Texts

TABLE = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
MODEL = from_callable(lambda canvas: TABLE[(canvas * 7 + canvas.roll(1, 1)) % 40], mask_token_id=5, vocab_size=6)
TEXTS = Texts([torch.arange(start, start + 14) % 5 for start in range(6)], [2] * 6, [14] * 6, "texts")


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=1)", "margin(steps=3)"])
def test_losses(without_float64, planner):
    there, here = (losses(TEXTS.blocks(model, 8), planner) for model in (without_float64(MODEL), MODEL))
    assert np.array_equal(there.nats, here.nats)
    assert np.array_equal(there.calls, here.calls)


def test_gaps_and_what_is_known(without_float64):
    there, here = (gaps(model, TEXTS, [1, 2]) for model in (without_float64(MODEL), MODEL))
    for one, other in zip(there, here, strict=True):
        assert np.array_equal(one.gap, other.gap)
        assert np.array_equal(one.divergence, other.divergence)
    measured = [of_blocks(TEXTS.blocks(model, 8))([0, 2]) for model in (without_float64(MODEL), MODEL)]
    assert np.array_equal(*measured)
