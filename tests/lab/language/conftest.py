"""A tiny random Llama in place of a language model, and all its continuations."""

import itertools

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB = 5


@pytest.fixture(scope="package")
def model():
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.6,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="package")
def joint(model):
    """A function of a context and a length that says the probability of every continuation, [V, …, V]."""

    @torch.no_grad()
    def of(context, length):
        paths = torch.tensor(list(itertools.product(range(VOCAB), repeat=length)))
        rows = torch.cat([context.expand(len(paths), -1), paths], 1)
        logs = model(input_ids=rows).logits[:, len(context) - 1 : -1].double().log_softmax(-1)
        return logs.gather(2, paths[..., None]).sum((1, 2)).exp().view((VOCAB,) * length)

    return of
