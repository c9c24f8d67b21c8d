"""Schedules made from measurements: bounds that hold, plans near the best schedule, choices that are worth having."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.lab.theory import (
    MarkovDenoiser,
    TheoryError,
    all_entropies,
    best_schedules,
    conditionals,
    contiguous,
    divergence,
    entropy_of,
    equal_sizes,
    from_source,
    random_hidden,
    random_markov,
    schedule_of,
)
from dus.lab.theory import known as known_module
from dus.lab.theory.calibrate import calibrate, write_levels
from dus.lab.theory.known import cost, of_blocks, of_exact, pairs, planned
from dus.lab.theory.randoms import KINDS
from dus.planners import DUS, PlannerError, parse

NEAR = 0.05
"""Nats of a block within which a plan from exact measurements has to come to the best schedule."""


def of_source(source, length, context=0):
    return of_exact(entropy_of(source, context), length)


def plan_of(source, length, steps, context=0):
    measure = of_source(source, length, context)
    return planned(pairs(measure, length), measure, steps)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 99), st.sampled_from([2, 3]), st.floats(0.1, 0.95))
def test_what_two_tokens_tell_bounds_what_any_tell(data, seed, order, rate):
    source = random_markov(2, order, rate, lag=order, seed=seed)
    known = pairs(of_source(source, 6, 1), 6)
    true = conditionals(all_entropies(source, 6, 1))
    assert (known.table() >= true - 1e-9).all()
    revealed = data.draw(st.integers(0, 63))
    assert known.conditional(revealed) == pytest.approx(known.table()[revealed])
    few = [mask for mask in range(64) if bin(mask).count("1") <= 2]
    assert known.table()[few] == pytest.approx(true[few], abs=1e-9)


def test_on_a_first_order_chain_the_bound_is_the_truth_and_the_plan_the_best():
    for rate in (0.3, 0.6, 0.9, 0.99):
        source = random_markov(3, 1, rate, seed=1)
        table = all_entropies(source, 7)
        assert pairs(of_source(source, 7), 7).table() == pytest.approx(conditionals(table), abs=1e-9)
        plan = plan_of(source, 7, 3)
        assert divergence(plan, table.item) == pytest.approx(best_schedules(table, 3).divergence(3), abs=1e-9)


def test_the_bound_of_a_shorter_block_is_that_of_its_beginning(source):
    whole, short = pairs(of_source(source, 6, 1), 6), pairs(of_source(source, 4, 1), 4)
    assert whole.beginning(4).sets == short.sets
    assert whole.beginning(4).entropy == pytest.approx(short.entropy, abs=1e-9)


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_plans_come_near_the_best_schedule_and_never_behind_groups_of_neighbours(kind, rate):
    source = KINDS[kind].source(rate, 1, vocab=2)
    table = all_entropies(source, 8, 2)
    plan = plan_of(source, 8, 3, context=2)
    ours, best = divergence(plan, table.item), best_schedules(table, 3).divergence(3)
    assert ours <= best + NEAR
    for other in (schedule_of("dus", 8), contiguous(8, equal_sizes(8, 3))):
        assert ours <= divergence(other, table.item) + 1e-9


def test_measured_entropies_are_the_exact_ones_within_noise(source):
    blocks = from_source(source, 1500, 7, known=2, seed=3).blocks(MarkovDenoiser(source), 5)
    measured, exact = pairs(of_blocks(blocks), 5), pairs(of_source(source, 5, 2), 5)
    assert measured.sets == exact.sets
    assert measured.entropy == pytest.approx(exact.entropy, abs=0.08)


def test_local_search_plans_blocks_too_long_for_exact_search(monkeypatch):
    source = random_hidden(3, 2, 0.95, seed=2)
    exact = plan_of(source, 8, 3)
    monkeypatch.setattr(known_module, "LONGEST_SEARCHED", 4)
    table = all_entropies(source, 8)
    assert divergence(plan_of(source, 8, 3), table.item) <= divergence(exact, table.item) + NEAR


def test_costs_add_up_to_the_divergence(source):
    table = all_entropies(source, 6)
    measure = of_source(source, 6)
    schedule = schedule_of("random(steps=3)", 6)
    total = cost(lambda mask: measure([i for i in range(6) if mask >> i & 1]), schedule)
    assert total - table[-1] == pytest.approx(divergence(schedule, table.item), abs=1e-9)


@pytest.fixture(scope="module")
def strands():
    """A chain on which DUS does badly, and texts of it."""
    source = KINDS["second order, two strands"].source(0.9, 0, vocab=2)
    return source, MarkovDenoiser(source), from_source(source, 160, 30, known=2)


def test_for_a_number_of_calls_the_least_loss_is_taken(strands):
    source, model, texts = strands
    found = calibrate(model, texts, [4, 8], 32, calls=12)
    assert {option.block_length for option in found.options} == {4, 8}
    assert all(option.calls <= 12 for option in found.options)
    assert found.chosen.loss.nats == min(option.loss.nats for option in found.options)
    assert found.chosen.block_length == 8
    table = all_entropies(source, 8, 2)
    ours = divergence(found.chosen.levels, table.item)
    assert ours < divergence(schedule_of("dus", 8), table.item) / 2
    assert ours < divergence(contiguous(8, [3, 3, 2]), table.item) / 2


def test_for_a_quality_the_fewest_calls_are_taken(strands):
    _, model, texts = strands
    found = calibrate(model, texts, [4, 8], 32, quality=0.05)
    good = [option for option in found.options if option.loss.nats <= 0.05]
    assert found.chosen in good
    assert found.chosen.calls == min(option.calls for option in good)
    strict = calibrate(model, texts, [4, 8], 32, quality=0.01)
    assert strict.chosen.calls > found.chosen.calls


def test_calls_count_the_shorter_last_block(strands):
    _, model, texts = strands
    found = calibrate(model, texts, [8], 18, calls=7)
    for option in found.options:
        last = sum(min(level) < 2 for level in option.levels)
        assert option.calls == 2 * len(option.levels) + last


def test_the_file_runs_as_a_planner(strands, tmp_path):
    _, model, texts = strands
    found = calibrate(model, texts, [8], 16, calls=6)
    path = tmp_path / "levels.json"
    found.write(path, command="dus calibrate …")
    planner = parse(f"levels(file='{path}')")
    assert schedule_of(planner, 8) == found.chosen.levels
    about = json.loads(path.read_text(encoding="utf-8"))["about"]
    assert about["command"] == "dus calibrate …"
    assert about["calls"] == found.chosen.calls
    assert about["nats a token above token by token"] == found.chosen.loss.nats


def test_what_is_no_partition_of_a_block_is_not_written(tmp_path):
    path = tmp_path / "levels.json"
    with pytest.raises(PlannerError, match="lacks the offset 1"):
        write_levels(path, [[0], [2]], {})
    assert not path.exists()
    write_levels(path, [[0, 2], [1]], {"model": "ρ"})
    assert list(tmp_path.iterdir()) == [path]
    assert parse(f"levels(file='{path}')").levels == ((0, 2), (1,))


def test_where_dus_is_best_nothing_better_is_claimed():
    source = random_markov(2, 1, 0.5, seed=1)
    found = calibrate(MarkovDenoiser(source), from_source(source, 80, 20, known=2), [8], 8, calls=3)
    names = [option.name for option in found.options]
    assert names == ["calibrated", "dus", "left-to-right(steps=3)"]
    assert all(len(option.levels) <= DUS().num_steps(8) for option in found.options)
    assert found.chosen.loss.nats <= found.options[1].loss.nats


@pytest.mark.parametrize(
    ("lengths", "tokens", "wanted", "part"),
    [
        ([8], 16, {}, "give one of them"),
        ([8], 16, {"calls": 4, "quality": 0.1}, "give one of them"),
        ([1], 16, {"calls": 4}, "start at 2"),
        ([], 16, {"calls": 4}, "start at 2"),
        ([8], 0, {"calls": 4}, "a token to generate"),
        ([4, 8], 64, {"calls": 4}, "more blocks than calls"),
        ([4], 16, {"quality": -9.0}, "no schedule loses at most -9 nats a token; the least"),
        ([64], 64, {"calls": 4}, "take longer texts or shorter blocks"),
    ],
)
def test_bad_input(strands, lengths, tokens, wanted, part):
    _, model, texts = strands
    with pytest.raises(TheoryError, match=part):
        calibrate(model, texts, lengths, tokens, **wanted)


def test_steps_that_no_block_takes(source):
    measure = of_source(source, 4)
    with pytest.raises(TheoryError, match="takes 1 to 4 steps, not 5"):
        planned(pairs(measure, 4), measure, 5)
    assert np.concatenate(planned(pairs(measure, 4), measure, 4)).tolist()
