"""The fields of a planner: the types that they may have, in Python and in texts."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dus.planners.base import Planner

MAIN = {"main": True}
"""Metadata of the field that a planner is about: its text always shows it."""

TYPES = "a whole number, a number, a string, True or False, one of some words or a planner, or one of these or None"


class PlannerError(ValueError):
    """A planner's text or field that can't be meant."""


def require(condition: bool, message: str) -> None:
    """Raise `PlannerError(message)` unless the condition holds."""
    if not condition:
        raise PlannerError(message)


@dataclass(frozen=True)
class Kind:
    """What a field may hold.

    Attributes:
        type: `int`, `float`, `str`, `bool` or a planner class.
        choices: The only words that are meant, where it is a `Literal`.
        optional: Whether it may be None.
    """

    type: type
    choices: tuple[str, ...] = ()
    optional: bool = False

    def holds(self, value: object) -> bool:
        """Whether a field may have this value; a whole number is a number too, and True is neither."""
        if value is None:
            return self.optional
        if self.type is int:
            return isinstance(value, Integral) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63
        if self.type is float:
            return isinstance(value, Real) and not isinstance(value, bool)
        return isinstance(value, self.type) and (not self.choices or value in self.choices)

    def __str__(self) -> str:
        """What it takes, as errors say it."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        known = {int: "a whole number below 2^63", float: "a number", str: "a string", bool: "True or False"}
        name = self.type.__name__
        return known.get(self.type) or ("a planner" if name == "Planner" else f"a {name} planner")


@cache
def kinds(planner: type[Planner]) -> dict[str, Kind | None]:
    """For each field of a planner class that is given and not derived, what it may hold; None where no text can say it.

    Annotations that mean nothing where they stand, as those of a class inside a function may, make all of them None.
    """
    given = [field.name for field in dataclasses.fields(planner) if field.init]  # type: ignore[arg-type]
    try:
        hints = typing.get_type_hints(planner)
    except (NameError, AttributeError, TypeError):
        return dict.fromkeys(given)
    return {name: _kind(hints[name]) for name in given}


def _kind(hint: Any, optional: bool = False) -> Kind | None:
    """What an annotation takes; None for tuples, unions of several types and all else that no text can say."""
    from dus.planners.base import Planner

    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        others = [option for option in options if option is not types.NoneType]
        return _kind(others[0], optional=True) if len(others) == 1 and not optional else None
    if origin is typing.Literal:
        return Kind(str, options, optional) if all(isinstance(option, str) for option in options) else None
    known = hint in (int, float, str, bool) or (isinstance(hint, type) and issubclass(hint, Planner))
    return Kind(hint, (), optional) if known else None


def text_fields(planner: type[Planner]) -> dict[str, dataclasses.Field]:
    """The fields of a planner class that texts show, by name: neither a wrapper's `inner` nor what others imply."""
    fields = dataclasses.fields(planner)  # type: ignore[arg-type]
    return {field.name: field for field in fields if field.init and field.name != "inner"}


def check_types(planner: Planner) -> None:
    """Refuse values of types that their fields cannot have.

    Raises:
        PlannerError: Naming the planner, the field, its value and what it takes.
    """
    for name, kind in kinds(type(planner)).items():
        value = getattr(planner, name)
        if kind is not None:
            fits = " or None" if kind.optional else ""
            planner.require(kind.holds(value), f"{name} is {value!r}, but has to be {kind}{fits}")
