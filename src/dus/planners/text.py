"""The text form of a planner: `eb(gamma=2) | spaced(gap=8)`, the same wherever a planner is named."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dus.planners.base import Planner, PlannerError, Wrapper

LONGEST = 1000
"""Characters of a planner text; what nests deeper than that is no planner."""

_WORD = re.compile(r"[A-Za-z_][\w-]*")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(rf"\s*(?:({_WORD.pattern})|({_NUMBER.pattern})|(['\"])(.*?)\3|(\S))", re.DOTALL)

_names: dict[str, type[Planner]] = {}


def register(name: str, planner: type[Planner]) -> None:
    """Give a planner class its name in texts.

    Raises:
        PlannerError: where the name is taken by another class.
    """
    if _names.setdefault(name, planner) is not planner:
        raise PlannerError(f"the planner name {name!r} is taken by {_names[name].__name__}")


def registered() -> dict[str, type[Planner]]:
    """Every planner class by its name, wrappers among them."""
    return dict(_names)


def text_fields(planner: type[Planner]) -> dict[str, dataclasses.Field]:
    """The fields of a planner class by their name in texts; a wrapper's `inner`, and what others imply, are none."""
    fields = dataclasses.fields(planner)  # type: ignore[arg-type]
    return {field.metadata.get("text", field.name): field for field in fields if field.init and field.name != "inner"}


def unparse(planner: Planner) -> str:
    """The text that `parse` turns into an equal planner: fields at their default are left out, but for the main one."""
    name = next((name for name, cls in _names.items() if cls is type(planner)), None)
    if name is None:
        raise PlannerError(f"{type(planner).__name__} has no text form: it is not registered")
    shown = [
        f"{label}={_unparse_value(getattr(planner, field.name))}"
        for label, field in text_fields(type(planner)).items()
        if getattr(planner, field.name) != field.default or "main" in field.metadata
    ]
    text = f"{name}({', '.join(shown)})" if shown else name
    return f"{unparse(planner.inner)} | {text}" if isinstance(planner, Wrapper) else text


def _unparse_value(value: object) -> str:
    if isinstance(value, Planner):
        return unparse(value)
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if not isinstance(value, str) or _WORD.fullmatch(value):
        return str(value)
    quote = '"' if "'" in value else "'"
    if quote in value:
        raise PlannerError(f"{value!r} has no text form: it holds both kinds of quotes")
    return f"{quote}{value}{quote}"


def parse(text: str | Planner) -> Planner:
    """The planner that a text names; a planner is returned as it is.

    The form is `name` or `name(field=value, …)`, wrappers behind a bar: `dus | deferred(threshold=0.3)`. Fields are
    separated by `,` or `;`. A value is a number, a word, a quoted string or, for `like`, a planner.

    Raises:
        PlannerError: naming what is unknown and what is known.
    """
    if isinstance(text, Planner):
        return text
    if not isinstance(text, str):
        raise PlannerError(f"a planner is named by a text such as 'dus', not by {text!r}")
    if len(text) > LONGEST:
        raise PlannerError(f"a planner text of {len(text)} characters is too long; at most {LONGEST} are read")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over one planner text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._split(text))
        self.at = 0

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        for match in _TOKEN.finditer(text.strip()):
            word, number, quote, quoted, mark = match.groups()
            if word is not None:
                yield "word", word
            elif number is not None:
                yield "number", number
            elif quote is not None:
                yield "quoted", quoted
            else:
                yield "mark", mark

    def fail(self, problem: str) -> PlannerError:
        return PlannerError(f"planner {self.text!r}: {problem}")

    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def on(self, *marks: str) -> bool:
        return not self.ended() and self.tokens[self.at] in [("mark", mark) for mark in marks]

    def take(self) -> tuple[str, str]:
        if self.ended():
            raise self.fail("something is missing at the end")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, mark: str) -> None:
        if not self.on(mark):
            found = "at the end" if self.ended() else f"where {self.tokens[self.at][1]!r} stands"
            raise self.fail(f"{mark!r} is missing {found}")
        self.at += 1

    def whole(self) -> Planner:
        planner = self.pipeline()
        if not self.ended():
            raise self.fail(f"{self.tokens[self.at][1]!r} stands behind the end")
        return planner

    def pipeline(self) -> Planner:
        planner = self.single(None)
        while self.on("|"):
            self.take()
            planner = self.single(planner)
        return planner

    def single(self, inner: Planner | None) -> Planner:
        kind, name = self.take()
        if kind != "word":
            raise self.fail(f"a planner's name is expected where {name!r} stands")
        cls = _names.get(name)
        if cls is None:
            raise self.fail(f"no planner is named {name!r}{_nearest(name, _names)}; known are {', '.join(_names)}")
        if issubclass(cls, Wrapper) and inner is None:
            raise self.fail(f"{name} stands behind a planner and a bar, as in 'eb | {name}'")
        if not issubclass(cls, Wrapper) and inner is not None:
            raise self.fail(f"{name} wraps no other planner, so it cannot stand behind a bar")
        values = self.fields(name, cls) if self.on("(") else {}
        build: Callable[..., Planner] = cls
        try:
            return build(**values) if inner is None else build(inner, **values)
        except PlannerError as error:
            raise self.fail(str(error)) from None

    def fields(self, name: str, cls: type[Planner]) -> dict[str, object]:
        known = _types(cls)
        values: dict[str, object] = {}
        self.expect("(")
        while not self.on(")"):
            _, label = self.take()
            if label not in known:
                listed = ", ".join(known) or "none"
                raise self.fail(f"{name} has no field {label!r}{_nearest(label, known)}; its fields are {listed}")
            if label in values:
                raise self.fail(f"the field {label!r} of {name} is given twice")
            self.expect("=")
            values[label] = self.value(f"{name}({label}=…)", known[label])
            if self.on(",", ";"):
                self.take()
            elif not self.on(")"):
                self.expect(")")
        self.expect(")")
        return values

    def value(self, place: str, wanted: type) -> object:
        if issubclass(wanted, Planner):
            planner = self.pipeline()
            if not isinstance(planner, wanted):
                raise self.fail(f"{place} takes a {wanted.__name__} planner, not {planner}")
            return planner
        if wanted not in _READERS:
            raise self.fail(f"{place} takes a value that no text can hold")
        read, expected = _READERS[wanted]
        kind, text = self.take()
        try:
            if kind == "mark":
                raise ValueError
            return read(text)
        except (ValueError, KeyError):
            raise self.fail(f"{place} takes {expected}, not {text!r}") from None


def _whole(text: str) -> int:
    """A number that an int64 holds."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _truth(text: str) -> bool:
    return {"True": True, "False": False}[text]


_READERS: dict[type, tuple[Callable[[str], object], str]] = {
    int: (_whole, "a whole number below 2^63"),
    float: (float, "a number"),
    str: (str, "a word"),
    bool: (_truth, "True or False"),
}


def _types(planner: type[Planner]) -> dict[str, type]:
    """For each field by its name in texts the one type that it takes besides None."""
    hints = typing.get_type_hints(planner)
    return {label: _type(hints[field.name]) for label, field in text_fields(planner).items()}


def _type(hint: Any) -> type:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    return str if typing.get_origin(hint) is typing.Literal else hint


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
