"""A planner has one name, one colour and one place."""

from itertools import combinations

import pytest

from dus.evaluation.presets import REPORT
from dus.evaluation.report.looks import KINDS, look
from dus.planners import registered


@pytest.mark.parametrize(
    ("planner", "label"),
    [
        ("confidence(per_step=1)", "TBT"),
        ("confidence(like=dus)", "Conf."),
        ("dus", "DUS"),
        ("dus | deferred(threshold=0.3)", "DUS, deferred 0.3"),
        ("eb(gamma=0.1) | spaced(gap=16)", "EB 0.1, gap 16"),
        ("left-to-right(like=dus)", "left-to-right"),
        ("levels(groups='0 1/2 3 6/4 5 7')", "levels(groups='0 1/2 3 6/4 5 7')"),
        ("levels(groups='0 8/2 10/4 12/6 14/1 3 5 7/9 11 13 15') | spaced(gap=4)", "levels 0 8/2 10/4 12/6 …, gap 4"),
        ("saber(n=4)", "saber(n=4)"),
        ("my-own(k=2)", "my-own(k=2)"),
    ],
)
def test_short_names(planner, label):
    assert look(planner).label == label


def test_every_registered_planner_has_a_colour_of_its_own():
    wrappers = {"spaced", "deferred"}
    assert registered().keys() - wrappers <= KINDS.keys()
    assert len({colour for _, colour in KINDS.values()}) == len(KINDS)


def test_planners_of_the_report_are_told_apart():
    looks = [look(planner) for planner in (*REPORT.once, *REPORT.planners)]
    assert len({seen.label for seen in looks}) == len(looks)
    bases = {planner.partition("(")[0].partition(" ")[0]: look(planner).colour for planner in REPORT.planners}
    for one, other in combinations(bases.values(), 2):
        assert one != other
