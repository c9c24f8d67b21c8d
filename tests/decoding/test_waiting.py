"""Within a block, a scheduled planner never makes the host wait for the device, and any other one once a call.

The engine decodes on a pretended device (`device.py`), which writes down each look at it and refuses what a GPU would.
"""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch

import dus
from dus.decoding import Decoded, Engine, Settings
from dus.decoding.caches import layout_of
from dus.denoisers import DreamConfig, DreamForMaskedLM, LladaConfig, LladaForMaskedLM, NativeLM
from dus.denoisers.attention import choose_attention
from dus.denoisers.sdar import SdarConfig, SdarForMaskedLM
from dus.planners import registered
from dus.planners.base import Wrapper

from .device import Device, There

VOCABULARY = 40
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "head_dim": 16}
KINDS = {
    "full": (LladaForMaskedLM, LladaConfig, {}),
    "shifted": (DreamForMaskedLM, DreamConfig, {}),
    "block-causal": (SdarForMaskedLM, SdarConfig, {"block_length": 8}),
}


def made(kind):
    """A random model, on the processor and on the device, so sure of what it says that rounding decides nothing."""
    model, config, others = KINDS[kind]
    torch.manual_seed(1)
    how = {**SIZES, "num_key_value_heads": 1, "vocab_size": VOCABULARY, "mask_token_id": 0, **others}
    here = NativeLM(model(config(**how)).eval())
    choose_attention(here.model)
    here.model.lm_head.weight.data *= 40
    return here, Device().moved(deepcopy(here))


made_once = cache(made)


@pytest.fixture
def full():
    return made_once("full")


def decoded(model, submitted, *, rows=3, device=None, **how):
    """What the rows come to; and for each call the waits that it made, and whether a block ended or began in it.

    Args:
        submitted: for each row the call before which it comes, its prompt and its settings.
    """
    engine = Engine(model, rows=rows, **{"watch": False, **how})
    left, found, waits = list(submitted), {}, []
    while left or len(engine):
        while left and left[0][0] <= engine.calls:
            _, prompt, settings = left.pop(0)
            engine.submit(torch.tensor(prompt), Settings(**{"max_new_tokens": 16, "block_length": 8, **settings}))
        before = {(row.number, row.start) for row in engine._inside()}
        seen = 0 if device is None else len(device.waits)
        for event in engine.step():
            if isinstance(event, Decoded):
                found[event.row] = event.tokens.tolist()
        within = before == {(row.number, row.start) for row in engine._inside()}
        waits.append((within, [] if device is None else device.waits[seen:]))
    return found, waits


def check(models, submitted, each, *, closing=3, **how):
    """The device gives what the processor gives, and makes the host wait `each` times in a call within blocks."""
    here, there = models
    with Device() as device:
        found, waits = decoded(there, submitted, device=device, **how)
    assert found == decoded(here, submitted, **how)[0]
    assert any(within for within, _ in waits)
    for within, told in waits:
        assert len(told) <= (each if within else each + closing), told


def alike(planner, **settings):
    """Four rows of one planner for three places."""
    return [(0, list(range(3, 6 + number)), {"planner": planner, "seed": 1, **settings}) for number in range(4)]


PLANNERS = [cls.example(8) for cls in registered().values() if not issubclass(cls, Wrapper)]
PLANNERS += [
    dus.parse(text)
    for text in (
        "dus(base=4)",
        "dus(order=fine-to-coarse)",
        "dus(order=random)",
        "dus(groups=residues)",
        "dus(order=entropy)",
        "confidence(like=dus)",
        "confidence(steps=3) | deferred(threshold=0.9)",
        "dus | deferred",
        "dus | edited",
        "saber(n=2)",
        "eb | spaced",
        "cb | prophet",
        "cb | edited",
    )
]


@pytest.mark.parametrize("planner", PLANNERS, ids=str)
def test_a_scheduled_planner_waits_not_at_all_within_a_block_and_any_other_once_a_call(full, planner):
    check(full, alike(planner), each=not planner.scheduled, cache="touched")


@pytest.mark.parametrize("kind", ["shifted", "block-causal"])
@pytest.mark.parametrize("planner", ["dus", "eb(gamma=0.1)", "wino", "dus | edited"])
def test_nor_does_another_kind_of_model(kind, planner):
    check(made_once(kind), alike(planner), each=planner != "dus", cache="block")


@pytest.mark.parametrize("mode", ["none", "prefix", "dual", "block"])
@pytest.mark.parametrize("planner", ["dus", "eb(gamma=0.1)", "wino"])
def test_nor_does_any_cache_mode(full, planner, mode):
    check(full, alike(planner), each=planner != "dus", cache=mode)


@pytest.mark.parametrize("planner", ["dus", "eb", "saber", "klass"])
@pytest.mark.parametrize(
    "settings",
    [
        {"scores": False, "suppress_tokens": [4], "defer_tokens": list(range(5, 35))},
        {"cfg_scale": 1.0},
        {"temperature": 0.7, "top_p": 0.9, "top_k": 3},
    ],
    ids=str,
)
def test_nor_do_sampling_and_guidance(full, planner, settings):
    check(full, alike(planner, **settings), each=planner != "dus", cache="block")


@pytest.mark.parametrize("planner", ["dus", "cb"])
def test_choosing_block_lengths_looks_once_at_all_rows(full, planner):
    check(full, alike(planner, block_length="auto(shortest=4,longest=8)"), each=1 + (planner != "dus"), cache="block")


def test_rows_of_different_planners_wait_once_for_each_that_is_not_scheduled(full):
    planners = ["dus", "left-to-right(per_step=2)", "eb(gamma=0.1)", "cb", "wino"]
    submitted = [(number, [3, 4, 5 + number], {"planner": each}) for number, each in enumerate(planners)]
    check(full, submitted, each=3, rows=5, cache="block")
    check(full, [row for row in submitted if dus.parse(row[2]["planner"]).scheduled], each=0, rows=5, cache="block")


def test_a_level_that_given_tokens_leave_empty_costs_two_looks_at_most(full):
    prompt = [3, 0, 0, 7, 0, 0, 0, *[7] * 10]  # nothing of the third level, offsets 2, 6, 10 and 14, is masked
    for planner, each in (("dus | deferred", 3), ("dus", 0)):
        asked = {"planner": planner, "max_new_tokens": 0, "block_length": 16}
        check(full, [(0, prompt, asked)], each=each, cache="block")


def test_who_watches_the_steps_costs_no_wait(full):
    check(full, alike("dus"), each=0, cache="block", watch=True)
    check(full, alike("saber"), each=1, cache="block", watch=True)


def test_on_a_gpu_lines_are_padded_unless_most_of_that_would_be_repeats(full):
    for prompt, ragged in ((8, False), (200, True)):
        computed = np.zeros((9, 208), dtype=bool)
        computed[:, :8] = computed[0, : prompt + 8] = True
        layout = layout_of(computed, [208] * 9, torch.device("meta"), ragged=True)
        assert (layout.rows is not None) == ragged
        assert sum(layout.counts) == (208 + 8 * 8 if ragged else 9 * 16)
        assert layout_of(computed, [208] * 9, torch.device("cpu"), ragged=True).rows is not None
    prompts = [(0, [3, 4]), (1, list(range(3, 38)) * 4), (2, [5]), (2, [6]), (2, [7, 8])]
    late = [(call, prompt, {"planner": "left-to-right"}) for call, prompt in prompts]
    check(full, late, each=0, rows=5, cache="touched")


def test_the_pretended_device_sees_what_a_gpu_would():
    with Device() as device:
        there = torch.arange(3, 7).to("meta", non_blocking=True)
        assert isinstance(there, There)
        assert not device.waits
        for look in (
            there[0].item,
            there.nonzero,
            there.cpu,
            lambda: bool(there.any()),
            lambda: there[there > 4],
            lambda: there[torch.tensor([0])],
            lambda: there.__setitem__(there > 4, 1),
            lambda: torch.tensor([1], device="meta"),
            lambda: torch.tensor([1]).to("meta"),
            lambda: there.copy_(torch.arange(4)),
            lambda: torch.isin(there, there),
        ):
            before = len(device.waits)
            look()
            assert len(device.waits) > before
        assert (there + 1).cpu().tolist() == [1, 2, 3, 4]
        with pytest.raises(RuntimeError, match="on the device and on the host"):
            there + torch.arange(4)
