"""The planners that have a name, and what a class has to be to get one."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from abc import ABC
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Generic, TypeVar

from dus.planners.base import Planner, Schedule, Wrapper
from dus.planners.fields import TYPES, PlannerError, kinds, text_fields

WORD = re.compile(r"[A-Za-z_][\w-]*")
"""A name in a text."""

AnyPlanner = TypeVar("AnyPlanner", bound=Planner)

_names: dict[str, type[Planner]] = {}


def register(name: str) -> Callable[[type[AnyPlanner]], type[AnyPlanner]]:
    """Give the planner class below its name in texts: `@register("middle")` above `@dataclass(frozen=True)`.

    A class of the same name in the same module takes its place, as when a notebook's cell is run again.

    Raises:
        PlannerError: Naming the planner, where the name is another one's or no word, or where the class is no frozen
            dataclass, keeps state outside of its fields, or has a field of a type that no text can hold. What a method
            does to a module's variables is not looked at.
    """

    def add(planner: type[AnyPlanner]) -> type[AnyPlanner]:
        for problem in _problems(name, planner):
            raise PlannerError(f"the planner {name!r} cannot be registered: {problem}")
        _names[name] = planner
        return planner

    return add


def registered() -> dict[str, type[Planner]]:
    """Every planner class by its name, wrappers among them."""
    return dict(_names)


def name_of(planner: type[Planner]) -> str:
    """A planner class's name in texts; of one that is not registered, the name of the class."""
    return next((name for name, known in _names.items() if known is planner), planner.__name__)


def hidden(planner: Planner) -> list[str]:
    """The attributes of a planner that are no fields: it has no memory, so there are none."""
    fields = {field.name for field in dataclasses.fields(planner)}  # type: ignore[arg-type]
    return sorted(vars(planner).keys() - fields)


def _problems(name: str, planner: type) -> Iterator[str]:
    """What stands against this class under this name, a sentence each."""
    if not WORD.fullmatch(name):
        yield "a name is a word of letters, digits, - and _ that begins with a letter"
    if not (inspect.isclass(planner) and issubclass(planner, Planner)):
        yield f"{planner!r} is no class that derives from Planner"
    label, taken = planner.__name__, _names.get(name)
    if taken is not None and (taken.__module__, taken.__qualname__) != (planner.__module__, planner.__qualname__):
        yield f"the name is taken by {taken.__name__}"
    how = planner.__dict__.get("__dataclass_params__")
    if how is None or not (how.frozen and how.eq):
        yield f"{label} has to be a frozen dataclass: @dataclass(frozen=True) stands right above it"
    if inspect.isabstract(planner):
        yield f"{label} lacks {', '.join(sorted(planner.__abstractmethods__))}"  # type: ignore[attr-defined]
    yield from _field_problems(planner)
    for cls in planner.__mro__:
        if cls not in (Planner, Schedule, Wrapper, ABC, Generic, object):
            yield from _state_problems(planner, cls)


def _field_problems(planner: type[Planner]) -> Iterator[str]:
    """Fields that no text can hold, or that equality does not see."""
    for field in dataclasses.fields(planner):  # type: ignore[arg-type]
        if not field.compare:
            yield f"its field {field.name} does not count for equality, but a planner is the sum of its fields"
    for name in text_fields(planner):
        if kinds(planner)[name] is None:
            yield f"its field {name} is of a type that no text can hold; a field is {TYPES}"
    if issubclass(planner, Wrapper) and "inner" not in kinds(planner):
        yield "it wraps a planner, but has no field inner for it"


def _state_problems(planner: type[Planner], cls: type) -> Iterator[str]:
    """State outside of the fields in one class of a planner's bases, as far as a class shows it."""
    fields = {field.name for field in dataclasses.fields(planner)}  # type: ignore[arg-type]
    for name, value in vars(cls).items():
        if (
            name in ("__dict__", "__weakref__")
            or (name.startswith("__") and name.endswith("__"))
            or name == "_abc_impl"
        ):
            continue
        if isinstance(value, cached_property):
            yield f"{cls.__name__}.{name} is kept from call to call; a planner has no memory, so make it a property"
        elif isinstance(value, types.FunctionType):
            if {"__setattr__", "__dict__"} & set(value.__code__.co_names):
                yield f"{cls.__name__}.{name} writes to the planner, but a planner has no memory"
        elif name not in fields and not _constant(value):
            yield f"{cls.__name__}.{name} is {value!r}, which can change; what a planner holds is in its fields"
    for name in vars(cls).get("__annotations__", {}):
        if name not in fields and name not in vars(cls):
            yield f"{cls.__name__}.{name} is annotated but no field; make {cls.__name__} a frozen dataclass"


def _constant(value: Any) -> bool:
    """Whether a class attribute can never change, or is a part of the class such as a property."""
    if isinstance(value, tuple | frozenset):
        return all(map(_constant, value))
    fixed = (str, bytes, int, float, type(None), type, re.Pattern, property, classmethod, staticmethod)
    return isinstance(value, fixed) or inspect.ismemberdescriptor(value)
