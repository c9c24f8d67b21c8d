"""The text form of a planner: `eb(gamma=2) | spaced(gap=8)`, the same wherever a planner is named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator

from dus.planners.base import Planner, Wrapper
from dus.planners.fields import Kind, PlannerError, kinds, text_fields
from dus.planners.registry import WORD, hidden, name_of, registered

LONGEST = 1000
"""Characters of a planner text; what nests deeper than that is no planner."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(rf"\s*(?:({WORD.pattern})|({_NUMBER.pattern})|(['\"])(.*?)\3|(\S))", re.DOTALL)


def unparse(planner: Planner) -> str:
    """The text that `parse` turns into an equal planner: fields at their default are left out, but for the main one.

    Raises:
        PlannerError: A planner that is not registered, or that has been given attributes that are no fields.
    """
    cls = type(planner)
    name = name_of(cls)
    if registered().get(name) is not cls:
        raise PlannerError(f"{name} has no text form: it is not registered")
    if hidden(planner):
        raise PlannerError(f"{name}: a planner has no memory, but {', '.join(hidden(planner))} is none of its fields")
    shown = [
        f"{label}={_unparse_value(getattr(planner, label))}"
        for label, field in text_fields(cls).items()
        if getattr(planner, label) != field.default or "main" in field.metadata
    ]
    text = f"{name}({', '.join(shown)})" if shown else name
    return f"{unparse(planner.inner)} | {text}" if isinstance(planner, Wrapper) else text


def _unparse_value(value: object) -> str:
    if isinstance(value, Planner):
        return unparse(value)
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if not isinstance(value, str) or (WORD.fullmatch(value) and value != "None"):
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
        PlannerError: Naming what is unknown and what is known.
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
        known = registered()
        cls = known.get(name)
        if cls is None:
            raise self.fail(f"no planner is named {name!r}{_nearest(name, known)}; known are {', '.join(known)}")
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
        known = {label: kinds(cls)[label] for label in text_fields(cls)}
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

    def value(self, place: str, wanted: Kind | None) -> object:
        if wanted is None:
            raise self.fail(f"{place} takes a value that no text can hold")
        if wanted.optional and not self.ended() and self.tokens[self.at] == ("word", "None"):
            self.take()
            return None
        if issubclass(wanted.type, Planner):
            planner = self.pipeline()
            if not wanted.holds(planner):
                raise self.fail(f"{place} takes {wanted}, not {planner}")
            return planner
        kind, text = self.take()
        try:
            if kind == "mark":
                raise ValueError
            value = _READERS[wanted.type](text)
        except (ValueError, KeyError):
            value = None
        if value is None or not wanted.holds(value):
            raise self.fail(f"{place} takes {wanted}, not {text!r}")
        return value


_READERS: dict[type, Callable[[str], object]] = {
    int: int,
    float: float,
    str: str,
    bool: {"True": True, "False": False}.__getitem__,
}


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
