"""On a GPU the same comes out as on a processor, and a scheduled planner never waits for it within a block."""

import json
import shutil
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import dus
from dus.decoding import BatchWarning, Decoded, Engine, Settings
from dus.evaluation.tasks import get

from .conftest import DEVICE

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CHECKPOINTS = sorted(path.parent for path in GOLDEN.glob("*/logits.npz"))
PLANNERS = [
    "dus",
    "confidence(steps=8)",
    "eb(gamma=1)",
    "eb(gamma=1) | spaced(gap=8)",
    "cb(tau=0.9)",
    "deb(gamma=0.5)",
    "klass",
    "saber(n=2)",
    "wino(wide=0.6)",
    "dus | edited(threshold=0.9)",
]
END = 251
CACHES = ["none", "prefix", "dual", "block", "touched"]
ON_GPU = DEVICE == "cuda"
SOME, NEW = (100, 64) if ON_GPU else (4, 16)
"""Problems that are answered, and tokens of each answer; on a processor only the code is looked at."""


@cache
def bundled(where, dtype="float32", **how):
    return dus.load(device=where, dtype=dtype, **how)


def asked(count):
    return [problem.question for problem in get("arithmetic").held_out(2)[: min(count, SOME)]]


def written(model, prompts, **settings):
    seed = {"seed": 3} if "temperature" in settings or "random" in str(settings.get("planner")) else {}
    return [row.tolist() for row in dus.generate(model, prompts, max_new_tokens=NEW, **seed, **settings).tokens]


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_golden_logits(folder, device):
    arrays = np.load(folder / "logits.npz")
    canvas = torch.as_tensor(arrays["input_ids"]).to(device)
    for name in set(arrays.files) - {"input_ids"}:
        block_length = int(name.removeprefix("block")) if name.startswith("block") else None
        model = dus.load(folder, dtype="float32", device=device, block_length=block_length)
        logits = model.logits(canvas, read=torch.arange(canvas.shape[1], device=device)).cpu()
        expected = torch.as_tensor(arrays[name])
        if model.shift:
            expected = torch.cat([expected[:, :1], expected[:, :-1]], dim=1)
        assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ["llada2", "llada21"])
@pytest.mark.parametrize("cached", ["none", "block"])
def test_published_traces(name, cached, device):
    for trace in json.loads((GOLDEN / f"{name}-random-a" / "traces.json").read_text())[:: 1 if ON_GPU else 12]:
        block = trace["block_length"]
        least = f", least={block // trace['steps']}" if "steps" in trace else ""
        rounds = trace.get("max_post_steps")
        edited = f" | edited(threshold={trace['editing_threshold']}, rounds={rounds})" if rounds else ""
        model = dus.load(GOLDEN / f"{name}-random-a", dtype="float32", block_length=block, device=device)
        planner = f"cb(tau={trace['threshold']}{least}){edited}"
        prompt = [torch.tensor(trace["prompt"])]
        got = dus.generate(model, prompt, planner=planner, max_new_tokens=trace["gen_length"], cache=cached)
        assert got.tokens[0].tolist() == [token for token in trace["output"] if token != END]


@pytest.mark.parametrize("planner", PLANNERS)
def test_every_planner_and_cache_mode_writes_what_the_processor_writes(planner, device):
    prompts = asked(6)
    for mode in CACHES:
        settings = {"planner": planner, "cache": mode}
        assert written(bundled(device), prompts, **settings) == written(bundled("cpu"), prompts, **settings), mode


@pytest.mark.parametrize("planner", ["random(per_step=2)", "cb(tau=0.9)"])
def test_a_seed_gives_the_same_draws(planner, device):
    for settings in ({"temperature": 1.0}, {"temperature": 0.7, "top_p": 0.9, "top_k": 20}):
        settings |= {"planner": planner}
        assert written(bundled(device), asked(6), **settings) == written(bundled("cpu"), asked(6), **settings)


def test_bfloat16_answers_as_well_as_float32(device):
    task = get("arithmetic")
    problems = task.held_out(1)[:SOME]
    right = {}
    for dtype in ("float32", "bfloat16"):
        texts = dus.generate(bundled(device, dtype), [each.question for each in problems], max_new_tokens=NEW).text
        right[dtype] = np.mean([task.score(problem, text) for problem, text in zip(problems, texts, strict=True)])
    assert abs(right["bfloat16"] - right["float32"]) < 1.96 * np.sqrt(2 * 0.25 / len(problems))


class Waits:
    """What the host waits for the device, as torch tells it."""

    def __enter__(self):
        torch.cuda.set_sync_debug_mode("warn")
        self.told = warnings.catch_warnings(record=True)
        self.found = self.told.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *error):
        torch.cuda.set_sync_debug_mode("default")
        self.told.__exit__(*error)

    @property
    def count(self):
        return sum("synchroniz" in str(warning.message) for warning in self.found)


@pytest.mark.parametrize(
    ("planner", "each"),
    [
        ("dus", 0),
        ("random(per_step=4)", 0),
        ("eb(gamma=0.1)", 1),
        ("confidence(like=dus)", 1),
        ("dus | deferred", 1),
        ("saber(n=2)", 1),
    ],
)
@pytest.mark.parametrize("mode", ["none", "block", "touched"])
@pytest.mark.skipif(not ON_GPU, reason="torch tells of waiting on CUDA alone")
def test_the_host_waits_not_at_all_in_a_block_or_once_a_call(planner, each, mode, device):
    engine = Engine(bundled(device), rows=4, cache=mode, watch=False)
    for number in range(4):
        prompt = torch.arange(3, 9 + number)
        engine.submit(prompt, Settings(planner=planner, max_new_tokens=64, eos="ignore", scores=False))
    engine.step()  # which makes the tables that are kept
    _step_without_waits(engine, each)


@pytest.mark.skipif(not ON_GPU, reason="torch tells of waiting on CUDA alone")
def test_nor_does_a_row_that_comes_under_another_planner(device):
    engine = Engine(bundled(device), rows=4, cache="block", watch=False)
    for planner in ("dus", "left-to-right(per_step=2)", "dus(base=4)"):
        engine.submit(torch.arange(3, 9), Settings(planner=planner, max_new_tokens=64, eos="ignore", scores=False))
        _step_without_waits(engine, 0)


def _step_without_waits(engine, each):
    """Up to three steps, none of which waits more often than so many times, but for one that ends a block."""
    for _ in range(3):
        before = [row.start for row in engine._inside()]
        with Waits() as waits:
            engine.step()
        if before and [row.start for row in engine._inside()][: len(before)] == before:
            assert waits.count <= each, [str(warning.message) for warning in waits.found]


@pytest.mark.skipif(not ON_GPU, reason="memory is bounded on CUDA alone")
def test_a_batch_that_does_not_fit_is_split_with_the_same_result(device):
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(device).total_memory
    model, prompts = bundled(device), asked(400)
    alone = written(model, prompts, batch_size=8)
    room = torch.cuda.memory_allocated(device) + 80_000_000
    torch.cuda.set_per_process_memory_fraction(room / whole)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert written(model, prompts, batch_size=400) == alone
        assert any(issubclass(warning.category, BatchWarning) for warning in told)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("how", [{"quantize": "int8"}, {"compile": True}], ids=str)
@pytest.mark.skipif(not ON_GPU, reason="tests/denoisers compiles and quantizes on a processor")
def test_other_forms_of_the_model_answer(how, device):
    if "quantize" in how:
        pytest.importorskip("torchao")
    elif not any(map(shutil.which, ("gcc", "cc", "clang"))):
        pytest.skip("triton needs a C compiler")
    exact = written(bundled(device), asked(8))
    found = written(bundled(device, **how), asked(8))
    same = np.mean([one == other for one, other in zip(exact, found, strict=True)])
    assert same >= (0.5 if "quantize" in how else 0.9)


def test_rows_that_come_and_go_get_what_they_get_alone(device):
    model, draw = bundled(device), torch.Generator().manual_seed(0)
    engine, asked_for, found = Engine(model, rows=4, cache="block", watch=False), {}, {}
    for prompt in asked(24):
        tokens = torch.tensor(model.tokenizer(prompt)["input_ids"])
        planner = PLANNERS[int(torch.randint(len(PLANNERS), (), generator=draw))]
        settings = Settings(planner=planner, max_new_tokens=int(torch.randint(8, 48, (), generator=draw)), seed=1)
        asked_for[engine.submit(tokens, settings)] = (tokens, settings)
        for _ in range(int(torch.randint(4, (), generator=draw))):
            found |= {event.row: event.tokens.tolist() for event in engine.step() if isinstance(event, Decoded)}
    while len(engine):
        found |= {event.row: event.tokens.tolist() for event in engine.step() if isinstance(event, Decoded)}
    for row, (tokens, settings) in asked_for.items():
        alone = Engine(model, rows=1, cache="block", watch=False)
        alone.submit(tokens, settings, draw=row)
        while len(alone):
            for event in alone.step():
                assert event.tokens.tolist() == found[row]
