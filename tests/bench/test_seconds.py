import math

import pytest
import torch

from dus.bench.measure import Workload
from dus.bench.seconds import ORDERS, table, where_the_seconds_go
from dus.bench.shapes import random_model
from dus.decoding import GenerationError


@pytest.fixture(scope="module")
def model():
    return random_model("llada-8b", 0.016, dtype=torch.float32, device="cpu")


def test_the_factors_multiply_to_the_whole_speed_up(model):
    found = where_the_seconds_go(model, Workload(prompt=8, new=16, block_length=8, repeats=1), "touched")
    names = [line["name"] for line in found["changes"]]
    assert names == ["textbook, token by token", "schedule", "logits", "cache"]
    assert [line["calls"] for line in found["changes"]] == [16, 6, 6, 6]
    whole = found["changes"][0]["seconds"] / found["changes"][-1]["seconds"]
    assert math.prod(line.get("factor", 1.0) for line in found["changes"]) == pytest.approx(whole)
    assert found["floor"] > 0
    assert [line["name"] for line in found["orders"]] == list(ORDERS)
    text = table(found)
    assert f"{whole:.1f}×" in text
    assert all(text.count(f"`{name}`") == 1 for name in ORDERS)
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_a_planner_that_takes_tokens_back_is_refused(model):
    with pytest.raises(GenerationError, match="takes tokens back"):
        where_the_seconds_go(model, Workload(planner="remdm(steps=4)", prompt=8, new=8, block_length=8), "none")
