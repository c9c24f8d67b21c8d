"""Random models of published shapes, and the bare products of their calls."""

import pytest
import torch

from dus.bench.measure import Bench, Workload
from dus.bench.products import Products
from dus.bench.shapes import SHAPES, random_model
from dus.decoding import GenerationError
from dus.denoisers.known import FAMILIES
from dus.denoisers.load import prepared


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_decodes_at_a_small_scale(name):
    model = random_model(name, 1 / 32, dtype=torch.float32, device="cpu")
    bench = Bench(prepared(model, False), Workload(prompt=8, new=8, block_length=8, repeats=1))
    (line,) = bench.run(["block"], with_textbook=False)["lines"]
    assert line["over_products"] > 0
    assert bench.setting.block_length == (model.block_length or 8)
    if model.block_length is not None:
        with pytest.raises(GenerationError, match="--no-textbook"):
            bench.run(["block"])


def test_there_is_a_shape_of_every_family():
    there = {random_model(name, 1 / 64, dtype=torch.float32, device="cpu").model.config.model_type for name in SHAPES}
    assert there == FAMILIES.keys()


@pytest.mark.parametrize(("name", "pack"), [("llada2-mini", True), ("llada2-mini", False), ("sdar-1.7b", True)])
def test_products_are_those_of_the_calls(name, pack):
    model = random_model(name, 1 / 32, dtype=torch.float32, device="cpu")
    prepared(model, False, pack=pack)
    products, canvas, config = Products(), torch.arange(6)[None], model.model.config
    with products.watching(model.model):
        model.logits(canvas, read=torch.arange(2))
    rows = [counts for _, counts in products.made if isinstance(counts, int)]
    assert set(rows) == {6, 2}
    assert rows.count(2) == 1  # the vocabulary
    experts = [counts for _, counts in products.made if not isinstance(counts, int)]
    if name == "sdar-1.7b":
        assert not experts
        assert len(rows) == 7 * config.num_hidden_layers + 1
    else:
        assert len(experts) == config.num_hidden_layers - 1
        assert all(sum(count for _, count in counts) == 6 * config.num_experts_per_tok for counts in experts)
    products.replay()
    assert len(products.made) == len(rows) + len(experts)  # what is made again is not noted
