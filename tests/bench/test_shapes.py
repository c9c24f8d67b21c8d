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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "pack"), [("llada2-mini", True), ("llada2-mini", False), ("sdar-1.7b", True)])
def test_products_are_those_of_the_calls(name, pack, dtype):
    model = random_model(name, 1 / 32, dtype=dtype, device="cpu")
    prepared(model, False, pack=pack)
    products, canvas, config = Products(), torch.arange(6)[None], model.model.config
    with products.watching(model.model):
        model.logits(canvas, read=torch.arange(2))
    layers, width, tokens = config.num_hidden_layers, config.hidden_size, 6
    each = config.num_attention_heads + 2 * config.num_key_value_heads
    numbers = tokens * layers * width * config.head_dim * (each + config.num_attention_heads)  # attention's weights
    numbers += 2 * width * config.vocab_size
    gated = 3 * width * tokens
    if name == "sdar-1.7b":
        numbers += layers * gated * config.intermediate_size
    else:
        experts = config.num_experts_per_tok + config.n_shared_experts
        numbers += gated * config.intermediate_size + (layers - 1) * gated * experts * config.moe_intermediate_size
        numbers += (layers - 1) * tokens * width * config.num_experts  # the router
    with_weights = [given for operation, given, _ in products.made if operation is not torch.ops.aten.bmm.default]
    assert sum(map(multiplications, with_weights)) == numbers
    noted = len(products.made)
    with products.watching(model.model):
        pass
    products.replay()
    assert len(products.made) == noted  # what is made again is not noted
    assert not {tuple(each.shape) for each in products.random.values()} & {(width, config.vocab_size)}  # no weight


def multiplications(given):
    """Of rows and a matrix, or one for each expert, of which each row has one."""
    rows, weight = given[:2]
    return rows.numel() // rows.shape[-1] * weight.shape[-2] * weight.shape[-1]
