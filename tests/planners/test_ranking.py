"""Ranking among some positions, whatever the scores."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners.ranking import best, rank

from .blocks import offsets, quick
from .plain import best_first

scores = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, math.inf])


@st.composite
def ranked_rows(draw):
    width, rows = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    score = [[draw(scores) for _ in range(width)] for _ in range(rows)]
    among = [{k for k in range(width) if draw(st.booleans())} for _ in range(rows)]
    flags = torch.tensor([[k in some for k in range(width)] for some in among])
    return score, among, torch.tensor(score), flags


@quick
@given(ranked_rows(), st.integers(0, 41))
def test_ranks_are_by_falling_score_among_the_positions_meant_ties_to_the_lower(rows, count):
    score, among, scored, flags = rows
    places, chosen = rank(scored, flags).tolist(), offsets(best(scored, flags, count))
    for values, some, place, found in zip(score, among, places, chosen, strict=True):
        order = best_first(values, some)
        assert sorted(place) == list(range(len(place)))
        assert [place[k] for k in order] == list(range(len(order)))
        assert found == set(order[:count])
