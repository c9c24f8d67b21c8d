"""Texts of planners: they round-trip, and whatever cannot be meant is told in one clear error."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import (
    DUS,
    BlockState,
    Confidence,
    Deferred,
    EntropyBounded,
    LeftToRight,
    PlannerError,
    Random,
    Schedule,
    Spaced,
    parse,
    register,
    registered,
    registry,
)

from .blocks import quick
from .kinds import planners
from .loop import World, decode


@quick
@given(planners)
def test_a_planner_equals_what_its_text_is_read_as(planner):
    assert parse(str(planner)) == planner


@quick
@given(planners)
def test_a_planner_is_replaced_as_dataclasses_are(planner):
    assert replace(planner) == planner
    assert parse(str(planner).replace(",", ";")) == planner
    assert str(parse(str(planner))) == str(planner)


@quick
@given(planners, st.data())
def test_spaces_mean_nothing(planner, data):
    space = st.sampled_from(["", " ", "\t", "  "])
    marks = [data.draw(space) + mark + data.draw(space) if mark in "(),|=" else mark for mark in str(planner)]
    assert parse("".join(marks)) == planner


@pytest.mark.parametrize(
    ("written", "planner"),
    [
        ("dus", DUS()),
        ("dus(base=4)", DUS(base=4)),
        ("dus(order=entropy; by=mean)", DUS(order="entropy", by="mean")),
        ("dus(order='random', seed=-3)", DUS(order="random", seed=-3)),
        ("confidence(steps=8)", Confidence(steps=8)),
        ("confidence(like=dus(base=4))", Confidence(like=DUS(base=4))),
        ("random(like=dus, seed=1)", Random(like=DUS(), seed=1)),
        ("left-to-right(per_step=2,)", LeftToRight(per_step=2)),
        ("eb(gamma=2) | spaced(gap=8)", Spaced(EntropyBounded(2), 8)),
        ("eb(gamma=.5)|spaced|deferred(threshold=1e-1)", Deferred(Spaced(EntropyBounded(0.5)), 0.1)),
    ],
)
def test_these_texts_mean_these_planners(written, planner):
    assert parse(written) == planner


@pytest.mark.parametrize(
    ("planner", "written"),
    [
        (DUS(), "dus"),
        (DUS(base=4), "dus(base=4)"),
        (Confidence(), "confidence(per_step=1)"),
        (EntropyBounded(), "eb(gamma=0.1)"),
        (Spaced(EntropyBounded(2.0), gap=4), "eb(gamma=2) | spaced(gap=4)"),
    ],
)
def test_a_text_shows_the_main_field_and_what_is_not_at_its_default(planner, written):
    assert str(planner) == written


def test_a_planner_is_read_as_itself():
    assert parse(DUS(base=3)) == DUS(base=3)


def refusal(call):
    with pytest.raises(PlannerError) as caught:
        call()
    return str(caught.value)


def failure(written):
    return refusal(lambda: parse(written))


def test_an_unknown_name_gets_the_known_ones_and_the_nearest():
    message = failure("confidense(steps=4)")
    assert "did you mean 'confidence'" in message
    assert all(name in message for name in registered())


def test_an_unknown_field_gets_the_known_ones_and_the_nearest():
    message = failure("dus(bose=4)")
    assert "did you mean 'base'" in message
    assert all(name in message for name in ("base", "order", "by", "groups", "stride", "seed"))


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("", "missing at the end"),
        ("dus(", "missing at the end"),
        ("dus(base", "'=' is missing"),
        ("dus(base=4", "')' is missing at the end"),
        ("dus(base=4 seed=1)", "')' is missing where 'seed'"),
        ("dus(base=4))", "')' stands behind the end"),
        ("dus dus", "'dus' stands behind the end"),
        ("dus |", "missing at the end"),
        ("dus(base=4, base=2)", "given twice"),
        ("dus(base=four)", "takes a whole number below 2^63, not 'four'"),
        ("dus(base=2.5)", "takes a whole number"),
        ("random(seed=9223372036854775808)", "takes a whole number below 2^63"),
        ("eb(gamma=much)", "takes a number, not 'much'"),
        ("eb(gamma=nan)", "gamma is nan"),
        ("dus(order=8)", "order is '8', known are"),
        ("dus(order==)", "takes a string, not '='"),
        ("dus'('base=4)", "'(' stands behind the end"),
        ("confidence(like=eb)", "takes a DUS planner, not eb"),
        ("confidence(steps=2, like=dus)", "not several"),
        ("dus(base=1)", "base is 1"),
        ("spaced(gap=4)", "stands behind a planner and a bar"),
        ("eb | dus", "cannot stand behind a bar"),
        ("8", "a planner's name is expected where '8' stands"),
        ("dus | " * 500, "too long"),
        (8, "not by 8"),
        (None, "not by None"),
    ],
)
def test_a_text_that_cannot_be_meant_gets_an_error_that_says_why(written, part):
    assert part in failure(written)


@pytest.mark.parametrize(
    "written", ["du", "dus(base=", "dus(base=x)", "dus(base=1)", "eb | confidence(like=dus(base=0))"]
)
def test_an_error_shows_the_text_that_it_is_about(written):
    assert failure(written).startswith(f"planner {written!r}: ")


fragments = st.sampled_from(
    [*registered(), *"()=,;|'\" -.", "base", "like", "steps", "gamma", "inf", "nan", "1e9", "0x"]
)


@quick
@given(st.text() | st.lists(fragments | st.integers().map(str) | st.floats().map(str)).map("".join))
def test_an_odd_text_is_read_or_refused_and_nothing_else(written):
    try:
        planner = parse(written)
    except PlannerError:
        return
    assert parse(str(planner)) == planner


def test_the_deepest_texts_that_are_read_are_planners_like_others():
    assert "takes a DUS planner" in failure("confidence(like=" * 40 + "confidence" + ")" * 40)
    deepest = parse("saber" + "|spaced" * 140)
    block = BlockState.begin(torch.ones(1, 8, dtype=torch.bool))
    assert len(decode(deepest, block, World(0, block.row, 8))[0]) >= 1
    assert hash(deepest) == hash(parse("saber" + "|spaced" * 140))


@dataclass(frozen=True)
class Stripes(Schedule):
    """Every `apart`-th position at once: what a new planner's file holds."""

    apart: int = 2
    label: str = "plain"
    way: Literal["up", "down"] = "up"
    odd: bool = False
    share: float | None = None

    def wanted(self, block):
        offset = torch.arange(block.masked.shape[1])
        return block.masked & (offset % self.apart == block.step[:, None])


@contextmanager
def stripes_on_the_shelf():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_names", registered())
        register("stripes")(Stripes)
        yield


def test_a_planner_is_added_by_one_line():
    block = BlockState.begin(torch.ones(2, 10, dtype=torch.bool))
    with stripes_on_the_shelf():
        planner = parse("stripes(apart=3) | deferred(threshold=0.5)")
        assert planner == Deferred(Stripes(apart=3), 0.5)
        assert str(planner) == "stripes(apart=3) | deferred(threshold=0.5)"
        assert "stripes" in failure("strips")
    decode(planner, block, World(0, block.row, 10))
    assert "no text form" in refusal(lambda: str(planner))


@quick
@given(st.sampled_from(["up", "down"]), st.booleans(), st.none() | st.floats(0, 1))
def test_fields_of_the_usual_types_are_read_back(way, odd, share):
    with stripes_on_the_shelf():
        planner = Stripes(way=way, odd=odd, share=share)
        assert parse(str(planner)) == planner
        assert "True or False" in failure("stripes(odd=maybe)")


@quick
@given(st.text(alphabet="ab-8 '\"\n,=()|é"))
def test_any_word_can_be_a_fields_value_but_one_with_both_quotes(label):
    with stripes_on_the_shelf():
        planner = Stripes(label=label)
        if "'" in label and '"' in label:
            assert "both kinds of quotes" in refusal(lambda: str(planner))
        else:
            assert parse(str(planner)) == planner
