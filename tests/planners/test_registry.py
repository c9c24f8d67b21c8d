"""What a class has to be to get a name in texts, and what errors call it."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import pytest

from dus.planners import DUS, Planner, PlannerError, Schedule, Spaced, Wrapper, parse, register, registered, registry
from dus.planners.registry import name_of


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    monkeypatch.setattr(registry, "_names", registered())


class Whole(Schedule):
    """All at once: what the classes below derive from, so that they need not say it."""

    def wanted(self, block):
        return block.masked


def frozen(**attributes):
    """A frozen planner of these attributes; those that are types are annotations of fields."""
    fields = {name: value for name, value in attributes.items() if isinstance(value, tuple) and len(value) == 2}
    own = {name: value for name, value in attributes.items() if name not in fields}
    own |= {"__annotations__": {name: hint for name, (hint, _) in fields.items()}}
    own |= {name: default for name, (_, default) in fields.items()}
    return dataclass(frozen=True)(type("Own", (Whole,), own))


def refusal(cls, name="own"):
    with pytest.raises(PlannerError) as caught:
        register(name)(cls)
    assert str(caught.value).startswith(f"the planner {name!r} cannot be registered: ")
    assert str(caught.value).count("\n") == 0
    assert registered().get(name) is not cls
    return str(caught.value)


def test_a_decorated_class_is_itself_and_has_its_name():
    cls = frozen(apart=(int, 2), share=(float | None, None))
    assert register("own")(cls) is cls
    assert name_of(cls) == "own"
    assert parse("own(apart=3)") == cls(apart=3)
    assert parse("own(share=None; apart=2)") == cls()


def test_a_name_belongs_to_one_planner_but_a_class_may_be_written_anew():
    first, again = frozen(), frozen(apart=(int, 2))
    register("own")(first)
    register("own")(again)
    assert registered()["own"] is again
    assert "taken by Own" in refusal(DUS)


@pytest.mark.parametrize("name", ["", "8", "two words", "a|b", "a(b)"])
def test_a_name_that_no_text_can_hold_is_refused(name):
    assert "a word of letters" in refusal(frozen(), name)


class Loose(Whole):
    pass


@dataclass
class Warm(Whole):
    pass


@dataclass(frozen=True, eq=False)
class Unequal(Whole):
    pass


@pytest.mark.parametrize("cls", [Loose, Warm, Unequal, type("Heir", (DUS,), {})])
def test_what_is_no_frozen_dataclass_of_its_own_is_refused(cls):
    assert f"{cls.__name__} has to be a frozen dataclass" in refusal(cls)


@dataclass(frozen=True)
class Idle(Planner):
    pass


@dataclass(frozen=True)
class Around(Wrapper):
    def select(self, block, prediction):
        return self.inner.select(block, prediction)


@pytest.mark.parametrize(
    ("cls", "part"),
    [
        (dict, "no class that derives from Planner"),
        (DUS(), "no class that derives from Planner"),
        (Idle, "Idle lacks select"),
        (Around, "no field inner"),
    ],
)
def test_what_cannot_plan_is_refused(cls, part):
    assert part in refusal(cls)


@pytest.mark.parametrize(
    "hint",
    [tuple[int, ...], list[int], int | str, int | str | None, object, "Unheard", dict, complex, Planner | int],
)
def test_a_field_that_no_text_can_hold_is_refused_by_name(hint):
    assert "its field odd is of a type that no text can hold; a field is a whole number," in refusal(
        frozen(odd=(hint, None))
    )


class Remembering:
    count: int

    def select(self, block, prediction):
        return block.masked


@dataclass(frozen=True)
class Mixed(Remembering, Planner):
    pass


class Writing(Whole):
    def wanted(self, block):
        object.__setattr__(self, "last", block)
        return block.masked


class Kept(Whole):
    @cached_property
    def found(self):
        return 1


@pytest.mark.parametrize(
    ("cls", "part"),
    [
        (frozen(seen=[]), "Own.seen is [], which can change"),
        (frozen(seen={}), "Own.seen is {}, which can change"),
        (frozen(seen=([],)), "Own.seen is ([],), which can change"),
        (frozen(seen=(int, field(default=0, compare=False))), "its field seen does not count for equality"),
        (Mixed, "Remembering.count is annotated but no field"),
        (dataclass(frozen=True)(type("Writes", (Writing,), {})), "Writing.wanted writes to the planner"),
        (dataclass(frozen=True)(type("Keeps", (Kept,), {})), "Kept.found is kept from call to call"),
    ],
)
def test_state_outside_of_the_fields_is_refused(cls, part):
    assert part in refusal(cls)


@dataclass(frozen=True)
class Constant(Whole):
    """Attributes of the class that never change are none of a planner's state."""

    WAYS: ClassVar[tuple[str, ...]] = ("up", "down")
    WORD = re.compile("x")
    Inner = int

    @property
    def way(self):
        return self.WAYS[0]

    @staticmethod
    def other():
        return 1


def test_what_cannot_change_is_no_state():
    register("constant")(Constant)
    assert str(Constant()) == "constant"


def test_a_planner_that_was_given_more_than_its_fields_has_no_text():
    planner = DUS()
    object.__setattr__(planner, "calls", 3)
    with pytest.raises(PlannerError, match="dus: a planner has no memory, but calls is none of its fields"):
        str(Spaced(planner))


@dataclass(frozen=True)
class Unregistered(Whole):
    apart: int = 2


def test_errors_of_a_planner_without_a_name_name_its_class():
    with pytest.raises(PlannerError, match=r"^Unregistered: apart is 'x', but has to be a whole number below 2"):
        Unregistered(apart="x")
    with pytest.raises(PlannerError, match=r"^Unregistered has no text form: it is not registered"):
        str(Unregistered())


@pytest.mark.parametrize("value", [True, 2.0, "2", None, 2**63, [1]])
def test_a_whole_number_is_nothing_else(value):
    with pytest.raises(PlannerError, match=r"apart is .*, but has to be a whole number below 2"):
        Unregistered(apart=value)


def test_fields_whose_annotations_mean_nothing_here_are_not_looked_at():
    @dataclass(frozen=True)
    class Inside(Whole):
        value: "Unheard" = None  # noqa: F821

    assert Inside(3).value == 3
