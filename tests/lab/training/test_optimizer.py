import copy
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dus.lab.training.optimizer import Muon, MuonAdamW, trapezoid


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(7, 4)
        self.layers = nn.ModuleDict(
            {"wrap": nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])})}
        )
        self.head = nn.Linear(4, 7)

    def forward(self, tokens):
        hidden = self.embed(tokens)
        for layer in self.layers["wrap"]["layers"]:
            hidden = hidden + layer(hidden).tanh()
        return self.head(hidden)


def run(model, optimizer, steps):
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: trapezoid(step, warmup=3, steps=50, decay=5))
    for step in range(steps):
        optimizer.zero_grad()
        tokens = torch.arange(7).roll(step)
        nn.functional.cross_entropy(model(tokens), (tokens + 1) % 7).backward()
        optimizer.step()
        scheduler.step()
    return scheduler


def test_matrices_of_layers_go_to_muon_and_the_rest_to_adamw():
    model = Toy()
    muon, adamw = MuonAdamW(model, matrix_lr=0.1, other_lr=0.01).parts
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(4, 4)] * 2
    held = {id(p) for part in (muon, adamw) for g in part.param_groups for p in g["params"]}
    assert held == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("shapes", [[(8, 16), (16, 8), (8, 16)], [(5, 12, 4), (12, 4)]], ids=["matrices", "stacks"])
def test_muon_steps_as_torchs_does(shapes):
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(matrix.clone()) for p in ours for matrix in p.detach().reshape(-1, *p.shape[-2:])]
    muon, reference = Muon(ours, lr=0.1), torch.optim.Muon(theirs, lr=0.1, momentum=0.95, weight_decay=0.01)
    for _ in range(3):
        for p in ours:
            p.grad = torch.randn_like(p)
        grads = [matrix for p in ours for matrix in p.grad.reshape(-1, *p.shape[-2:])]
        for other, grad in zip(theirs, grads, strict=True):
            other.grad = grad.clone()
        muon.step()
        reference.step()
    for one, other in zip([m for p in ours for m in p.reshape(-1, *p.shape[-2:])], theirs, strict=True):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0)  # torch's Newton-Schulz runs in bfloat16


def test_it_steps_as_its_parts_do_alone():
    model = Toy()
    twin = copy.deepcopy(model)
    run(model, MuonAdamW(model, matrix_lr=0.1, other_lr=0.01), 10)
    matrices = [p for n, p in twin.named_parameters() if ".layers." in n and p.ndim == 2]
    others = [p for n, p in twin.named_parameters() if not (".layers." in n and p.ndim == 2)]
    parts = [Muon(matrices, lr=0.1), torch.optim.AdamW(others, lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)]
    for step in range(10):
        for part, lr in zip(parts, (0.1, 0.01), strict=True):
            part.param_groups[0]["lr"] = lr * trapezoid(step, warmup=3, steps=50, decay=5)
        tokens = torch.arange(7).roll(step)
        twin.zero_grad()
        nn.functional.cross_entropy(twin(tokens), (tokens + 1) % 7).backward()
        for part in parts:
            part.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


class Experts(Toy):
    """Layers whose matrices are stacked, or stand one by one."""

    def __init__(self, stacked):
        super().__init__()
        matrices = [layer.weight.detach().clone() for layer in self.layers["wrap"]["layers"]]
        parts = [nn.Parameter(torch.stack(matrices))] if stacked else [nn.Parameter(each) for each in matrices]
        self.layers = nn.ModuleDict({"wrap": nn.ModuleDict({"layers": nn.ParameterList(parts)})})

    def forward(self, tokens):
        hidden = self.embed(tokens)
        for part in self.layers["wrap"]["layers"]:
            for matrix in part if part.ndim == 3 else [part]:
                hidden = hidden + (hidden @ matrix.T).tanh()
        return self.head(hidden)

    def matrices(self):
        return [matrix for part in self.layers["wrap"]["layers"] for matrix in (part if part.ndim == 3 else [part])]


def test_stacked_matrices_are_steered_as_each_of_them():
    stacked, single = Experts(stacked=True), Experts(stacked=False)
    for model in (stacked, single):
        run(model, MuonAdamW(model, matrix_lr=0.1, other_lr=0.01), 10)
    assert all(torch.equal(a, b) for a, b in zip(stacked.matrices(), single.matrices(), strict=True))
    assert torch.equal(stacked.embed.weight, single.embed.weight)
    assert not torch.equal(stacked.matrices()[0], Experts(stacked=True).matrices()[0])


@pytest.mark.parametrize("make", [Toy, lambda: Experts(stacked=True)], ids=["layers", "stacked"])
def test_a_saved_state_continues_exactly(make):
    straight, broken = make(), make()
    whole = MuonAdamW(straight, matrix_lr=0.1, other_lr=0.01)
    run(straight, whole, 8)
    first = MuonAdamW(broken, matrix_lr=0.1, other_lr=0.01)
    run(broken, first, 8)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = MuonAdamW(broken, matrix_lr=0.1, other_lr=0.01)
    second.load_state_dict(torch.load(file, weights_only=True))
    for optimizer, model in ((whole, straight), (second, broken)):
        for group in optimizer.param_groups:
            group.pop("initial_lr", None)
        run(model, optimizer, 5)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), broken.parameters(), strict=True))


def test_a_closure_is_refused():
    with pytest.raises(ValueError, match="closure"):
        MuonAdamW(Toy(), matrix_lr=0.1, other_lr=0.01).step(lambda: 0.0)


@given(st.integers(1, 50), st.integers(60, 500), st.integers(1, 60))
def test_the_schedule_rises_stays_and_falls_to_zero(warmup, steps, decay):
    factors = [trapezoid(step, warmup=warmup, steps=steps, decay=decay) for step in range(steps + 1)]
    assert all(0 <= f <= 1 for f in factors)
    assert factors[0] == pytest.approx(1 / warmup * min(1, steps / decay))
    assert factors[steps] == 0
    if warmup <= steps - decay:
        assert set(factors[warmup : steps - decay]) <= {1.0}
    assert factors[steps - decay :] == sorted(factors[steps - decay :], reverse=True) or warmup > steps - decay
