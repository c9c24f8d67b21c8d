from itertools import product

import numpy as np
import pytest

from dus.lab.theory import (
    TheoryError,
    all_entropies,
    best_schedules,
    conditionals,
    contiguous,
    divergence,
    entropy_of,
    equal_sizes,
    local_search,
    random_markov,
    sampled_conditionals,
    schedule_divergence,
    schedule_of,
)


def every_schedule(length, steps):
    """Every partition of a block into at most so many groups, in every order."""
    for assignment in product(range(steps), repeat=length):
        groups = [[place for place in range(length) if assignment[place] == step] for step in range(steps)]
        yield [group for group in groups if group]


def test_best_schedules_equal_exhaustive_search(source):
    table = all_entropies(source, 6)
    found = best_schedules(table, 3)
    for steps in (1, 2, 3):
        least = min(divergence(schedule, table.item) for schedule in every_schedule(6, steps))
        assert found.divergence(steps) == pytest.approx(least, abs=1e-12)
        assert divergence(found.schedule(steps), table.item) == pytest.approx(least, abs=1e-12)


def test_best_schedules_of_given_sizes(source):
    table = all_entropies(source, 6)
    sizes = [1, 2, 3]
    found = best_schedules(table, 3, sizes)
    allowed = [each for each in every_schedule(6, 3) if [len(group) for group in each] == sizes]
    assert found.divergence(3) == pytest.approx(min(divergence(each, table.item) for each in allowed), abs=1e-12)
    assert [len(group) for group in found.schedule(3)] == sizes


def test_more_steps_are_no_worse_and_one_token_a_step_is_exact(source):
    found = best_schedules(all_entropies(source, 7), 7)
    costs = [found.divergence(steps) for steps in range(1, 8)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(0, abs=1e-12)


def test_dus_is_the_best_schedule_of_its_sizes_on_a_fast_first_order_chain():
    table = all_entropies(random_markov(4, 1, 0.5, seed=1), 8)
    dus = divergence(schedule_of("dus", 8), table.item)
    assert dus == pytest.approx(best_schedules(table, 3).divergence(3), abs=1e-6)


def test_local_search_comes_close_to_the_best(source):
    table = all_entropies(source, 9)
    known = conditionals(table)
    start = contiguous(9, equal_sizes(9, 3))
    found = local_search(lambda mask: known[mask], start, rounds=4000)
    least, before = best_schedules(table, 3).divergence(3), divergence(start, table.item)
    assert least - 1e-12 <= divergence(found, table.item) <= least + 0.15 * (before - least)


def test_sampled_divergence_of_a_schedule(source):
    schedule = schedule_of("dus", 8)
    sampled = schedule_divergence(source, schedule, samples=3000, seed=2)
    assert abs(sampled.nats - divergence(schedule, entropy_of(source))) < 4 * sampled.error + 1e-6


def test_sampled_conditionals_estimate_the_exact_ones(source):
    exact = conditionals(all_entropies(source, 5))
    mask = 0b00101
    estimate = sampled_conditionals(source, 5, samples=4000)(mask)
    for place in (1, 3, 4):
        assert estimate[place] == pytest.approx(exact[mask, place], abs=0.07)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: best_schedules(np.zeros(1 << 19), 3), "up to 18 positions are feasible"),
        (lambda: best_schedules(np.zeros(16), 2, [1, 2]), "do not make up"),
        (lambda: best_schedules(np.zeros(16), 0), "at least 1"),
        (lambda: best_schedules(np.zeros(16), 2).divergence(3), "1 to 2 steps were searched"),
        (lambda: local_search(lambda mask: np.zeros(2), [[0], [0]]), "each position"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(TheoryError, match=message):
        make()
