"""The benchmark measures what it says: the same tokens, the same calls, shares that add up."""

import json

import pytest
import torch
from typer.testing import CliRunner

from dus.bench import requests, timing
from dus.bench.growth import draw, grow, values_for
from dus.bench.machine import machine, peak_memory
from dus.bench.measure import Bench, Workload
from dus.bench.shapes import SHAPES, random_model
from dus.bench.timing import Watched, WatchedPlanner, side_by_side
from dus.decoding import GenerationError
from dus.denoisers import DenoiserError
from dus.denoisers.attention import choose_attention
from dus.planners import BlockState, Prediction, parse


@pytest.fixture(scope="module")
def model():
    made = random_model("llada-8b", 1 / 64, dtype=torch.float32, device="cpu")
    with torch.no_grad():
        made.model.lm_head.weight *= 30  # far from ties
    choose_attention(made.model)
    return made


SMALL = Workload(prompt=12, new=32, block_length=16, repeats=1)


@pytest.mark.parametrize("planner", ["dus", "confidence(steps=4)", "eb(gamma=8)", "cb(tau=0.01)"])
def test_the_textbook_loop_and_generate_write_the_same_tokens(model, planner):
    bench = Bench(model, Workload(planner=planner, batch=2, prompt=12, new=32, block_length=16))
    textbook, ours = bench.ways(["none"], with_textbook=True)
    for one, other in zip(textbook.tokens, ours.tokens, strict=True):
        assert one.tolist() == other.tolist()


def test_a_run_reports_every_way(model):
    found = Bench(model, SMALL).run(["none", "dual", "touched"])
    lines = {line["name"]: line for line in found["lines"]}
    assert list(lines) == ["textbook", "none", "dual", "touched"]
    assert lines["none"]["agreement"] == 1
    for name in ("none", "dual", "touched"):
        line = lines[name]
        assert line["nfe"] == 8
        assert line["tpf"] == 4
        assert line["denoiser"] + line["planner"] + line["rest"] == pytest.approx(1)
        assert min(line["seconds"], line["first"], line["first_block"], line["over_floor"]) > 0
    weights = sum(weights.numel() for weights in model.model.parameters())
    assert all(line["weights"] == pytest.approx(4 * weights, rel=0.01) for line in lines.values())
    assert machine(model)["parameters"] == weights


@pytest.mark.parametrize("planner", ["cb(tau=0.01)", "eb(gamma=8)", "saber"])
def test_rows_may_take_different_numbers_of_calls(model, planner):
    setting = Workload(planner=planner, batch=5, prompt=12, new=32, block_length=16, repeats=1)
    bench = Bench(model, setting)
    for line in bench.run(["none", "dual", "touched"], with_textbook=False)["lines"]:
        nfe = bench.generation(line["name"]).nfe
        assert line["nfe"] == sum(nfe) / 5
        assert line["tpf"] == 32 / line["nfe"]


def test_what_cannot_be_compared_or_does_not_fit_is_refused(model):
    with pytest.raises(GenerationError, match="saber takes tokens back"):
        Bench(model, Workload(planner="saber", prompt=12, new=32, block_length=16)).run(["none"])
    with pytest.raises(GenerationError, match="more than the model's context of 4096"):
        Bench(model, Workload(prompt=4000, new=128)).ways([], with_textbook=True)


def test_the_scores_that_a_planner_reads_are_not_its_own_time(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timing, "now", lambda: next(clock))

    def slow():
        for _ in range(50):
            next(clock)
        return torch.rand(1, 4)

    watched = WatchedPlanner(parse("entropy"))
    block = BlockState.begin(torch.ones(1, 4, dtype=torch.bool))
    chosen = watched.select(block, Prediction(confidence=slow, entropy=slow))
    assert chosen.sum() == 1
    assert 0 < watched.seconds < 5


def test_forms_of_a_model_are_timed_in_every_mode(model):
    quantized = random_model("llada-8b", 1 / 64, dtype=torch.float32, device="cpu", quantize="int8")
    lines = Bench(model, SMALL).brief(["none", "touched"], variants={"int8": quantized})
    assert [line["name"] for line in lines] == ["none", "touched", "none, int8", "touched, int8"]
    assert lines[2]["weights"] < 0.9 * lines[0]["weights"]


def test_a_curve_has_a_point_for_each_value_that_fits(model, tmp_path):
    assert values_for("block", model, SMALL) == [8, 16, 32]
    assert values_for("new", model, SMALL) == [64, 128, 256, 512, 1024]
    found = grow(model, SMALL, "block", [8, 16], ["none", "touched"])
    assert [point["value"] for point in found["points"]] == [8, 16]
    assert all([line["name"] for line in point["lines"]] == ["none", "touched"] for point in found["points"])
    draw(tmp_path / "curve", found)
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_the_peak_of_memory_is_over_what_was_taken_before():
    taken = peak_memory(lambda: torch.zeros(50_000_000, dtype=torch.uint8).add_(1), torch.device("cpu"))
    assert taken is None or 45e6 < taken < 120e6


@pytest.mark.parametrize("cache", ["none", "prefix", "dual", "block", "touched"])
def test_the_floor_makes_the_same_calls(model, cache):
    bench, watched = Bench(model, SMALL), Watched(model)
    bench.generation(cache, model=watched)
    again = Watched(model)
    replayed, watched.inner = list(watched.calls), again
    watched.replay()
    assert [call.read[0].shape for call in again.calls] == [call.read[0].shape for call in replayed]
    computed = [None if call.layout is None else call.layout.columns.tolist() for call in replayed]
    assert [None if call.layout is None else call.layout.columns.tolist() for call in again.calls] == computed


def test_a_scaled_shape_keeps_its_proportions():
    config = random_model("llada-8b", 1 / 16, dtype=torch.float32, device="meta").model.config
    full = SHAPES["llada-8b"]
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
        assert getattr(config, name) * 16 == full[name]
    config, full = (
        random_model("llada2-mini", 1 / 8, dtype=torch.float32, device="meta").model.config,
        SHAPES["llada2-mini"],
    )
    for name in ("hidden_size", "num_attention_heads", "num_experts", "moe_intermediate_size", "vocab_size"):
        assert getattr(config, name) * 8 == full[name]


@pytest.mark.parametrize(("shape", "scale", "named"), [("llama", 1.0, "llada-8b"), ("llada-8b", 0.0, "above 0")])
def test_a_wrong_shape_is_named(shape, scale, named):
    with pytest.raises(DenoiserError, match=named):
        random_model(shape, scale, dtype=torch.float32, device="cpu")


def test_rounds_take_the_median():
    ticks = iter([0.0, 1.0, 1.0, 4.0, 4.0, 6.0])
    from dus.bench import timing

    kept, timing.now = timing.now, lambda: next(ticks)
    try:
        assert side_by_side({"a": lambda: None}, 3) == {"a": 2.0}
    finally:
        timing.now = kept


def test_the_command_prints_json_and_writes_it(tmp_path):
    from dus.cli.app import app

    file = tmp_path / "bench.json"
    options = ["--shape", "llada-8b", "--scale", "0.015625", "--prompt", "8", "--new", "16", "--repeats", "1"]
    caches = ["--cache", "dual,block", "--cache", "touched"]
    run = CliRunner().invoke(app, ["bench", *options, *caches, "--json", "--out", str(file)])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout) == json.loads(file.read_text())
    assert [line["name"] for line in json.loads(run.stdout)["runs"][0]["lines"]] == [
        "textbook",
        "dual",
        "block",
        "touched",
    ]


def test_a_run_that_is_stopped_leaves_what_it_had(tmp_path, monkeypatch):
    from dus.cli.app import app

    def stopped(bench, **how):
        if bench.setting.planner != "dus":
            raise KeyboardInterrupt
        return {"setting": {}, "lines": []}

    monkeypatch.setattr(Bench, "run", stopped)
    file = tmp_path / "bench.json"
    options = ["--shape", "llada-8b", "--scale", "0.015625", "--planner", "dus", "--planner", "eb", "--out", str(file)]
    assert CliRunner().invoke(app, ["bench", *options]).exit_code != 0
    assert len(json.loads(file.read_text())["runs"]) == 1


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--growth", "width"], "known are batch, prompt, new, block"),
        (["--prompt", "many"], "whole numbers from 1 on"),
        (["--growth", "new", "--prompt", "8,16"], "one value of the other sizes"),
        (["--scale", "0.5"], "--scale goes with --shape"),
        (["--shape", "llada-8b", "--scale", "0.01", "--dtype", "foo"], "'foo' is not a floating type"),
        (["--shape", "llada-8b", "--scale", "0.01", "--device", "foo"], "'foo' is not a device"),
        (["--split", "--growth", "new"], "--split"),
        (["--requests", "4", "--growth", "new"], "--requests takes"),
        (["--shape", "llada-8b", "--scale", "0.01", "--requests", "4", "--new", "8"], "16 tokens at least"),
    ],
)
def test_bad_input_is_said_in_a_sentence(options, part):
    from dus.cli import InputError
    from dus.cli.app import app

    run = CliRunner().invoke(app, ["bench", *options])
    assert isinstance(run.exception, InputError | DenoiserError | GenerationError)
    assert part in str(run.exception)


def test_the_command_splits_a_speed_up(tmp_path):
    from dus.cli.app import app

    page = tmp_path / "split.md"
    options = ["--shape", "llada-8b", "--scale", "0.015625", "--prompt", "8", "--new", "16", "--repeats", "1"]
    run = CliRunner().invoke(app, ["bench", *options, "--split", "--cache", "touched", "--page", str(page)])
    assert run.exit_code == 0, run.output
    assert "**whole speed-up**" in page.read_text()


@pytest.mark.parametrize("cache", ["block", "none"])
def test_an_engine_computes_what_requests_need_and_lets_nobody_wait_beside_a_free_place(model, cache):
    setting = Workload(planner="dus", batch=3, prompt=24, new=40, block_length=16, repeats=1)
    found = requests.measure(model, setting, 10, cache)
    engine, batches, longest = found["lines"]
    assert engine["late"] == batches["late"] == longest["late"] == 0
    assert engine["calls"] < batches["calls"] <= longest["calls"]
    assert found["needed"] <= engine["columns"] <= longest["columns"]
    if cache == "block":  # without a cache, rows of other lengths are padded to the longest
        assert found["needed"] == engine["columns"] == batches["columns"]


def test_the_command_writes_a_page_on_requests(tmp_path):
    from dus.cli.app import app

    page = tmp_path / "requests.md"
    options = ["--shape", "llada-8b", "--scale", "0.015625", "--prompt", "24", "--new", "24", "--repeats", "1"]
    run = CliRunner().invoke(app, ["bench", *options, "--requests", "6", "--batch", "2", "--page", str(page)])
    assert run.exit_code == 0, run.output
    assert "requests of mixed sizes" in page.read_text()
    assert (tmp_path / "requests.png").exists()
    assert "6 requests, prompts of 16 to 24" in page.read_text()
