"""Within a block, a scheduled planner never makes the host wait for the device.

The tests decode on torch's "meta" device, whose tensors have a shape but no data: whatever would read one on the host
(`item`, `nonzero`, a copy to the CPU, a branch on a value) raises. Copies the other way are allowed where they are
asynchronous, since a blocking one waits for all that the device was told before.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import dus
from dus.decoding import Engine, Settings
from dus.denoisers import Denoiser
from dus.planners import parse

VOCABULARY = 11


class OnMeta(Denoiser):
    """A denoiser on a device without data."""

    mask_token_id, vocab_size, eos_token_ids = 0, VOCABULARY, (1,)
    device = torch.device("meta")

    def logits(self, canvas, *, read, attention_mask=None, cache=None):
        assert canvas.device == read[0].device == read[1].device == self.device
        assert attention_mask is None or attention_mask.device == self.device
        return torch.empty(len(read[0]), VOCABULARY, device=self.device)


class Copies(TorchDispatchMode):
    """Keeps what would block on a real device: copies from the host that wait, and indices that lie there."""

    def __init__(self):
        super().__init__()
        self.blocking = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        device = kwargs.get("device")
        if name == "_to_copy" and device is not None and torch.device(device).type == "meta":
            if args[0].device.type == "cpu" and not kwargs.get("non_blocking"):
                self.blocking.append(name)
        elif name == "copy_" and args[0].is_meta and not args[1].is_meta and not kwargs.get("non_blocking"):
            self.blocking.append(name)
        elif name in ("index", "index_put_") and args[0].is_meta:
            self.blocking += [name for index in args[1] if index is not None and not index.is_meta]
        return func(*args, **kwargs)


def first_block(planner, prompts, **settings):
    """How many steps a block takes before the host has to look at the device, and the copies that blocked."""
    prompts = [torch.tensor(prompt) for prompt in prompts]
    steps = dus.steps(OnMeta(), prompts, planner=planner, max_new_tokens=32, block_length=16, **settings)
    seen = [next(steps)]  # what is laid out before the first call is not at issue
    with Copies() as copies, pytest.raises(NotImplementedError, match="meta"):  # noqa: PT012
        for step in steps:
            seen.append(step)
    assert all(step.starts == [0] * len(prompts) for step in seen)
    return len(seen), copies.blocking


SCHEDULED = [
    "dus",
    "dus(base=4)",
    "dus(order=fine-to-coarse)",
    "dus(groups=residues)",
    "random(steps=5)",
    "left-to-right(per_step=3)",
]


@pytest.mark.parametrize("planner", SCHEDULED)
@pytest.mark.parametrize("prompts", [[[3, 4]], [[3, 4], [5], [6, 7, 8]]], ids=["alone", "padded"])
@pytest.mark.parametrize(
    "settings", [{}, {"scores": False}, {"cfg_scale": 1.0}, {"suppress_tokens": [4], "defer_tokens": [1]}], ids=str
)
def test_a_scheduled_planner_reads_nothing_from_the_device_in_a_block(planner, prompts, settings):
    count, blocking = first_block(planner, prompts, **settings)
    assert count == parse(planner).num_steps(16) - 1  # the last one ends the block, and is looked at
    assert not blocking


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 0.7, "top_p": 0.9, "top_k": 3}], ids=str)
def test_nor_does_sampling(settings):
    count, blocking = first_block("dus", [[3, 4], [5]], seed=1, **settings)
    assert count == 3
    assert not blocking


def test_rows_in_different_levels_of_different_planners_are_decoded_without_a_look():
    engine = Engine(OnMeta(), rows=3, watch=False)
    engine.submit(torch.tensor([3]), Settings(planner="dus", max_new_tokens=16))
    engine.step()
    engine.submit(torch.tensor([3, 4]), Settings(planner="left-to-right(per_step=2)", max_new_tokens=16))
    engine.submit(torch.tensor([3, 4, 5]), Settings(planner="dus", max_new_tokens=32, block_length=32))
    with Copies() as copies:
        for _ in range(2):
            engine.step()
    assert not copies.blocking
    with pytest.raises(NotImplementedError, match="meta"):
        engine.step()  # the first row's block ends


def test_this_way_of_looking_sees_a_planner_that_reads_a_prediction():
    with pytest.raises(NotImplementedError, match="meta"):
        next(dus.steps(OnMeta(), torch.tensor([[3, 4]]), planner="eb(gamma=1)", max_new_tokens=8))
