"""A planner has one name, one colour and one place."""

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dus.evaluation.presets import REPORT
from dus.evaluation.report.looks import PANELS, look
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
    looks = [look(name) for name in registered()]
    assert len({seen.colour for seen in looks}) == len({seen.place for seen in looks}) == len(looks)
    assert {seen.panel for seen in looks} <= PANELS.keys()


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True))
def test_a_planner_that_nobody_knows_has_a_look_that_stays(name):
    seen = look(f"{name}(k=2)")
    assert re.fullmatch("#[0-9A-F]{6}", seen.colour)
    assert seen.panel in PANELS
    assert seen.colour == look(name).colour


def test_planners_of_the_report_are_told_apart():
    looks = [look(planner) for planner in (*REPORT.once, *REPORT.planners)]
    assert len({seen.label for seen in looks}) == len(looks)
    bases = {planner.partition("(")[0].partition(" ")[0]: look(planner).colour for planner in REPORT.planners}
    for one, other in combinations(bases.values(), 2):
        assert one != other
