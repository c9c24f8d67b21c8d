"""The statement of the theory page on the discounted entropy bound, on chains whose joint is enumerated."""

from itertools import product
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.lab.theory.report.discount import SECTION

STATES, LENGTH = 3, 6


def entropy(joint, positions):
    marginal = joint.sum(axis=tuple(set(range(LENGTH)) - set(positions))).ravel()
    return -sum(p * np.log(p) for p in marginal if p > 0)


def contraction(joint, place):
    """Dobrushin's coefficient of the step between two neighbours, the larger of both directions."""
    pair = joint.sum(axis=tuple(set(range(LENGTH)) - {place, place + 1}))
    rows = [each / each.sum() for each in (*pair, *pair.T)]
    sides = rows[:STATES], rows[STATES:]
    return max(abs(a - b).sum() / 2 for side in sides for a, b in product(side, side))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5), st.sets(st.integers(0, LENGTH - 1), min_size=2))
def test_what_is_lost_is_within_the_bound_of_both_sides(seed, spread, positions):
    source = np.random.default_rng(seed)
    joint = source.dirichlet([spread] * STATES)
    for _ in range(LENGTH - 1):
        joint = joint[..., None] * source.dirichlet([spread] * STATES, size=STATES)
    joint = np.maximum(joint, 1e-300)
    eta = max(contraction(joint, place) for place in range(LENGTH - 1))
    alone = {i: entropy(joint, [i]) for i in positions}
    order = sorted(positions, key=alone.get)
    bound = 0.0
    for place, i in enumerate(order[:-1]):
        later = order[place + 1 :]
        left = eta ** (min((i - j for j in later if j < i), default=np.inf) - 1)
        right = eta ** (min((j - i for j in later if j > i), default=np.inf) - 1)
        bound += alone[i] * (1 - (1 - left) * (1 - right))
    assert sum(alone.values()) - entropy(joint, order) <= bound + 1e-9


def test_the_page_holds_the_statement():
    assert SECTION.strip() in (Path(__file__).parents[3] / "docs" / "research" / "theory.md").read_text(
        encoding="utf-8"
    )
