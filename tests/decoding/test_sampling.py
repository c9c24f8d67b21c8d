"""Draws at a temperature: their frequencies, their support, their seeds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus

from .standins import constant, hashed, rows, same

LOGITS = [-3.0, 0.3, 1.1, -0.4, 0.9, -1.2, 2.0, 0.0]  # the first is the mask's


def draw(logits=LOGITS, *, count=80, length=50, **kwargs):
    """Int64 `[count, length]`: what a denoiser that always says the same writes."""
    kwargs = {"temperature": 1.0, "seed": 11, "eos": "ignore", "scores": False, "planner": "eb(gamma=1000)", **kwargs}
    got = dus.generate(
        constant(logits), torch.tensor([[2]]), max_new_tokens=length, block_length=length, samples=count, **kwargs
    )
    return torch.stack(got.tokens)


def follow(tokens, shares):
    """Whether tokens look drawn from probabilities: chi-square at one in a million, and nothing impossible."""
    counts = torch.bincount(tokens.flatten(), minlength=len(shares)).double()
    possible = shares > 0
    freedom = int(possible.sum()) - 1
    if counts[~possible].any() or freedom == 0:
        return not counts[~possible].any()
    expected = shares[possible] * tokens.numel()
    statistic = ((counts[possible] - expected) ** 2 / expected).sum().item()
    part = 2 / (9 * freedom)  # Wilson and Hilferty's approximation of the quantile
    return statistic < freedom * (1 - part + 4.75 * part**0.5) ** 3


def shares(logits=LOGITS, temperature=1.0, top_k=None, top_p=None):
    """The distribution that is drawn from, by brute force: without the mask, then top-k, then top-p."""
    values = {token: value / temperature for token, value in enumerate(logits) if token != 0}
    order = sorted(values, key=lambda token: -values[token])[:top_k]
    weight = {token: torch.tensor(values[token], dtype=torch.float64).exp().item() for token in order}
    total, mass, kept = sum(weight.values()), 0.0, []
    for token in order:
        if top_p is not None and mass / total >= top_p:
            break
        kept.append(token)
        mass += weight[token]
    result = torch.zeros(len(logits), dtype=torch.float64)
    result[kept] = torch.tensor([weight[token] for token in kept], dtype=torch.float64)
    return result / result.sum()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_p": 0.8},
        {"top_k": 5, "top_p": 0.7},
        {"temperature": 2.0, "top_k": 4, "top_p": 0.9},
        {"top_k": 1},
        {"top_p": 1e-9},
        {"top_p": 1.0, "top_k": 1000},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_frequencies_are_those_of_the_softmax(how, seed):
    assert follow(draw(seed=seed, **how), shares(**how))


def test_frequencies_of_another_distribution_would_be_told_apart():
    assert not follow(draw(temperature=1.2), shares())
    assert not follow(draw(top_k=7), shares(top_k=6))


def test_positions_rows_and_steps_are_drawn_independently():
    """Pairs of draws: neighbouring positions of one step, the same position in neighbouring rows, different steps."""
    single = shares()[1:]
    pairs = (single[:, None] * single).flatten()
    together = draw(count=60, length=50) - 1
    apart = draw(count=60, length=50, planner="left-to-right") - 1
    views = {
        "positions": (together[:, 0::2], together[:, 1::2]),
        "distant positions": (together[:, :25], together[:, 25:]),
        "rows": (together[0::2], together[1::2]),
        "steps": (apart[:, 0::2], apart[:, 1::2]),
        "schedules": (together[:, 1:], apart[:, 1:]),
    }
    for name, (one, other) in views.items():
        assert follow(one * 7 + other, pairs), name


@settings(deadline=None, max_examples=40)
@given(
    logits=st.lists(st.integers(-20, 20), min_size=3, max_size=9, unique=True),
    top_k=st.none() | st.integers(1, 9),
    top_p=st.none() | st.floats(0.05, 1.0),
    seed=st.integers(0, 1000),
)
def test_the_support_is_exactly_what_brute_force_keeps(logits, top_k, top_p, seed):
    logits = [value / 10 for value in logits]
    expected = shares(logits, top_k=top_k, top_p=top_p)
    got = draw(logits, count=50, length=60, seed=seed, top_k=top_k, top_p=top_p)
    likely = {token for token, share in enumerate(expected.tolist()) if share > 0.01}
    found = set(got.flatten().tolist())
    assert likely <= found <= {token for token, share in enumerate(expected.tolist()) if share > 0}


@given(top_k=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_of_equal_tokens_too_no_more_than_top_k_are_drawn(top_k, seed):
    assert len(set(draw([-9.0, *[2.0] * 5, -5.0], count=20, seed=seed, top_k=top_k).flatten().tolist())) == top_k


def test_a_temperature_towards_zero_is_greedy():
    model, prompts = hashed(1, sharpness=4.0), torch.tensor([[2, 3], [4, 5]])
    greedy = dus.generate(model, prompts, max_new_tokens=32)
    for temperature in (1e-4, 1e-8, 1e-30, 1e-46, 5e-324):
        assert same(greedy, dus.generate(model, prompts, max_new_tokens=32, temperature=temperature, seed=3))


def test_a_very_high_temperature_is_uniform():
    assert follow(draw(temperature=1e8), torch.tensor([0.0] + [1 / 7] * 7, dtype=torch.float64))


def test_logits_far_apart_do_no_harm():
    tokens = draw([0.0, -3e38, 3e29, -torch.inf, 2.9e29], count=10)
    assert set(tokens.flatten().tolist()) == {2}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_floating_type_are_drawn_from(dtype):
    model = constant(LOGITS)
    model.fn = lambda canvas: torch.tensor(LOGITS, dtype=dtype).expand(*canvas.shape, -1)
    got = dus.generate(model, torch.tensor([[2]]), max_new_tokens=64, temperature=1.0, seed=1, eos="ignore")
    assert len(set(got.tokens[0].tolist())) > 3
    assert got.trace.confidence[0].dtype == got.trace.entropy[0].dtype == torch.float32


def test_a_seed_repeats_a_run_and_another_seed_does_not():
    model, prompts = hashed(2, sharpness=2.0), torch.tensor([[2, 3], [4, 5]])
    asked = {"max_new_tokens": 24, "temperature": 1.0, "eos": "ignore"}
    one, again = (dus.generate(model, prompts, seed=7, **asked) for _ in range(2))
    other = dus.generate(model, prompts, seed=8, **asked)
    assert same(one, again)
    assert one.seed == 7
    for number in range(2):
        assert (one.tokens[number] != other.tokens[number]).float().mean() > 0.5


def test_a_run_without_a_seed_tells_the_one_that_repeats_it():
    model, prompts = hashed(2, sharpness=2.0), torch.tensor([[2, 3]])
    asked = {"max_new_tokens": 24, "temperature": 1.0, "eos": "ignore"}
    one, two = (dus.generate(model, prompts, **asked) for _ in range(2))
    assert one.seed != two.seed
    assert not same(one, two)
    assert same(one, dus.generate(model, prompts, seed=one.seed, **asked))


def test_torch_is_left_as_it_was_and_its_seed_does_not_matter():
    model, prompts = hashed(2, sharpness=2.0), torch.tensor([[2, 3]])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = dus.generate(model, prompts, max_new_tokens=24, temperature=1.0, seed=5)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert same(one, dus.generate(model, prompts, max_new_tokens=24, temperature=1.0, seed=5))


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**62, -(2**63), 2**63 - 1])
def test_any_64_bit_seed_will_do(seed):
    assert follow(draw(seed=seed), shares())


def test_rows_draw_by_their_place_in_the_list():
    """The same prompt twice gives different draws, and a row keeps its draws when rows behind it are added."""
    model = hashed(3, sharpness=2.0)
    asked = {"max_new_tokens": 24, "temperature": 1.0, "seed": 4, "eos": "ignore"}
    two = dus.generate(model, torch.tensor([[2, 3]] * 2), **asked)
    three = dus.generate(model, torch.tensor([[2, 3]] * 3), **asked)
    assert rows(two, 0) != rows(two, 1)
    assert rows(two, 0, 1) == rows(three, 0, 1)
