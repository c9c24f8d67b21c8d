import random
import re
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, TASKS
from dus.lab.training.data import GRAIN, Batches, Curriculum, Encoder, drawn_equation, masks


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(vocabulary)


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return Encoder(tokenizer)


def batches(tokenizer, seed=3, **options):
    return Batches(tokenizer, seed=seed, tokens_per_batch=2048, **options)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_depends_on_seed_and_step_alone(tokenizer):
    straight = [batch for batch, _ in zip(batches(tokenizer), range(20), strict=False)]
    resumed = [batch for batch, _ in zip(batches(tokenizer, start=13), range(7), strict=False)]
    assert all(same(a, b) for a, b in zip(straight[13:], resumed, strict=True))
    assert same(batches(tokenizer).batch(5), straight[5])
    assert not any(same(a, b) for i, a in enumerate(straight) for b in straight[:i])
    assert not same(batches(tokenizer, seed=4).batch(5), straight[5])


@pytest.mark.parametrize("step", [0, 1000, 2011, 50_000])
def test_batches_keep_the_token_budget_and_have_little_padding(tokenizer, step):
    ends = []
    for s in range(step, step + 8):
        batch = batches(tokenizer).batch(s)
        rows, length = batch["tokens"].shape
        assert length % GRAIN == 0
        assert rows == 1 or rows * length <= 2048
        assert batch["weights"].sum() == pytest.approx(1.0)
        assert ((batch["weights"] > 0) == batch["masked"]).all()
        ends.append((batch["tokens"] == tokenizer.eos_token_id).float().mean())
    assert sum(ends) / len(ends) < 0.45


def test_prompts_stay_visible_and_rows_end_in_end_tokens(tokenizer):
    user, assistant, eos = tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>", "<|endoftext|>"])
    held_out = {p.question for task in TASKS.values() for level in LEVELS for p in task.held_out(level, 2000)}
    answered = 0
    for step in range(2000, 2008):
        batch = batches(tokenizer).batch(step)
        for tokens, masked in zip(batch["tokens"], batch["masked"], strict=True):
            if tokens[0] != user:
                continue
            start = tokens.tolist().index(assistant) + 1
            assert not masked[:start].any()
            question = tokenizer.decode(tokens[1 : start - 1])
            assert question not in held_out
            end = tokens.tolist().index(eos)
            assert (tokens[end:] == eos).all()
            answered += bool(re.search(r" #### \d+$", tokenizer.decode(tokens[start:end])))
    assert answered > 20


def test_the_curriculum_moves_from_equations_to_problems(tokenizer):
    tasks = (("code", 0.25, (0.4, 0.4, 0.2)), ("text", 0.75, (0.0, 0.0, 1.0)))
    plan = Curriculum(ramp=100, equations=(0.7, 0.15), levels=(0.8, 0.2, 0.0), tasks=tasks)
    assert [plan.equation_share(step) for step in (0, 100, 9999)] == pytest.approx([0.7, 0.15, 0.15])
    shares = plan.token_shares(50)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert [shares["code", level] for level in LEVELS] == pytest.approx([0.25 * w for w in (0.6, 0.3, 0.1)])
    assert [shares["text", level] for level in LEVELS] == pytest.approx([0.75 * w for w in (0.4, 0.1, 0.5)])
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    for first, share in ((0, 0.6), (4000, 0.1)):
        starts = torch.cat([batches(tokenizer).batch(step)["tokens"][:, 0] for step in range(first, first + 16)])
        assert (starts != user).float().mean() == pytest.approx(share, abs=0.06)


def test_tasks_get_the_shares_they_are_given():
    given, usual = Curriculum.of(("code", "text"), (3, 1)).token_shares(9999), Curriculum().token_shares(9999)
    assert set(given) == {(task, level) for task in ("code", "text") for level in LEVELS}
    for task, share in (("code", 0.75), ("text", 0.25)):
        assert sum(given[task, level] for level in LEVELS) == pytest.approx(share)
        ratios = {round(given[task, level] / usual[task, level], 9) for level in LEVELS}
        assert len(ratios) == 1


@given(seed=st.integers(0, 2**32), length=st.integers(1, 12).map(lambda n: n * GRAIN))
@settings(max_examples=50, deadline=None)
def test_rows_of_equations_are_true_and_mask_results(encoder, tokenizer, seed, length):
    row = encoder.equations(random.Random(seed), length)
    assert len(row.tokens) == len(row.maskable) == length
    text = tokenizer.decode(row.tokens)
    found = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)\. ", text)
    assert found
    assert all(eval(f"{a}{sign}{b}") == int(result) < 100 for a, sign, b, result in found)
    assert tokenizer.encode(text + "0")[: length - 1] == row.tokens[: length - 1]
    if row.always:
        results = [token for token, flag in zip(row.tokens, row.maskable, strict=True) if flag]
        expected = [int(result) for *_, result in found]
        assert [int(tokenizer.decode([token])) for token in results][: len(expected)] == expected
    else:
        assert all(row.maskable)


def test_every_fact_below_100_can_be_drawn():
    rng = random.Random(0)
    drawn = {drawn_equation(rng)[:3] for _ in range(400_000)}
    sums = {(a, "+", b) for a in range(100) for b in range(100 - a)}
    products = {(a, "*", b) for a in range(2, 50) for b in range(2, 99 // a + 1)}
    assert len(sums - drawn) < 0.01 * len(sums)
    assert not products - drawn


@given(data=st.data(), rows=st.integers(1, 12), length=st.integers(1, 30), seed=st.integers(0, 2**60))
@settings(max_examples=100, deadline=None)
def test_masks_are_drawn_within_the_answer_with_equal_row_weights(data, rows, length, seed):
    starts = data.draw(st.lists(st.integers(0, length - 1), min_size=rows, max_size=rows))
    always = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    maskable = torch.arange(length) >= torch.tensor(starts)[:, None]
    masked, weights = masks(maskable, always, torch.Generator().manual_seed(seed))
    assert not (masked & ~maskable).any()
    assert masked.any(1).all()
    assert (masked == maskable)[always].all()
    assert torch.allclose(weights.sum(1), torch.full((rows,), 1 / rows))
    assert ((weights > 0) == masked).all()


def test_masking_rates_are_stratified_and_every_position_equally_likely():
    maskable = torch.ones(64, 100, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(100)
    for _ in range(50):
        masked, _ = masks(maskable, torch.zeros(64, dtype=torch.bool), generator)
        counts = masked.sum(1).sort().values
        expected = (torch.arange(64) + 0.5) * 100 / 64
        assert (counts - expected).abs().max() <= 2
        total += masked.sum(0)
    assert (total / (50 * 64) - 0.505).abs().max() < 0.04


def test_every_task_and_level_gets_its_share_of_the_tokens(tokenizer):
    plan = Curriculum(ramp=1)
    source = Batches(tokenizer, seed=5, tokens_per_batch=8192, curriculum=plan)
    kinds = {p.question: (name, level) for name, task in TASKS.items() for level in LEVELS for p in _first(task, level)}
    rows = [row for batch in source._pool(7) for row in batch]
    found = dict.fromkeys(plan.token_shares(10), 0)
    for row in rows:
        found[kinds[tokenizer.decode(row.tokens[1 : row.maskable.index(True) - 1])]] += len(row.tokens)
    for kind, share in plan.token_shares(10).items():
        assert found[kind] / sum(found.values()) == pytest.approx(share, abs=0.03), kind


def _first(task, level):
    """The problems that pool 7 of seed 5 may draw."""
    rng = random.Random("pool/5/7")
    seeds = {key: rng.getrandbits(62) for key in Curriculum().token_shares(0)}
    return islice(task.problems(level, seeds[task.name, level]), 600)
