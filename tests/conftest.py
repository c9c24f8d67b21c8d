"""For all rooms: small tensors are fastest on one thread, and no test fails because the machine is busy."""

import os

import pytest
import torch
from hypothesis import settings

from dus.denoisers import DenoiserAround

torch.set_num_threads(1)
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own, 15, starves its workers beside a second test process
settings.register_profile("dus", deadline=None)  # a machine that does other things too is no fault of a test's
settings.load_profile("dus")


class Elsewhere(torch.Tensor):
    """A tensor on a device without float64, such as an Apple GPU: whatever is computed with it is there too."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        found = super().__torch_function__(func, types, args, kwargs or {})
        if func is torch.Tensor.cpu:
            return found.as_subclass(torch.Tensor)
        if isinstance(found, torch.Tensor) and found.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return found


class OnDevice(DenoiserAround):
    """A denoiser whose logits are on such a device."""

    def logits(self, canvas, **kwargs):
        return self.inner.logits(canvas.as_subclass(torch.Tensor), **kwargs).float().as_subclass(Elsewhere)


@pytest.fixture
def without_float64():
    """Puts a denoiser on a device that has no float64."""
    return OnDevice
