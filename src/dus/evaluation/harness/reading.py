"""Values of arguments, from whatever a string, a YAML file or a command line made of them."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

Rows: TypeAlias = int | Literal["auto"]
Length: TypeAlias = int | Literal["auto", "auto(…)"]
Switch: TypeAlias = bool | Literal["mode"]


class HarnessError(ValueError):
    """Something that was asked of the lm-eval model and cannot be done; the message says what would be right."""


def value_of(name: str, value: Any, hint: Any) -> Any:
    """A value as the type `hint` wants it; None, and a text that says so where no text is wanted, is None.

    Raises:
        HarnessError: The value cannot be meant; the message names the argument and says what would be right.
    """
    kinds = tuple(kind for kind in typing.get_args(hint) if kind is not type(None))
    wanted = hint if hint in _READERS else typing.Union[kinds]  # noqa: UP007 (of as many as there are)
    read, expected = _READERS[wanted]
    if value is None or (wanted is not str and str(value).lower() == "none"):
        return None
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError):
        raise HarnessError(f"{name} is {value!r}, but has to be {expected}") from None


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or (not isinstance(value, str) and number != value):
        raise ValueError
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _truth(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _word(value: Any) -> Any:
    """A text; a planner, a device or a type may also come as what it is."""
    return str(value) if isinstance(value, int | float) else value


def _ids(value: Any) -> list[int]:
    several = value.split(";") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return [_whole(part) for part in several]


def _rows(value: Any) -> Rows:
    """Rows a batch; lm-eval's `auto:N` looks N times, and once is enough here."""
    if str(value).partition(":")[0] == "auto":
        return "auto"
    rows = _whole(value)
    if rows < 1:
        raise ValueError
    return rows


def _length(value: Any) -> Any:
    """A block length, or a rule for them: in a text, whose commas end an argument, `;` stands for `,`."""
    return value.replace(";", ",") if isinstance(value, str) and value.startswith("auto") else _whole(value)


def _switch(value: Any) -> bool | str:
    """Yes or no, or a mode of `torch.compile`."""
    text = str(value).lower()
    if text not in ("true", "false") and not (isinstance(value, str) and re.fullmatch(r"[a-z][a-z-]*", text)):
        raise ValueError
    return text == "true" if text in ("true", "false") else text


_READERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    bool: (_truth, "true or false"),
    str: (_word, "a text"),
    list[int]: (_ids, "token ids, as in 2;3"),
    Length: (_length, "a whole number, auto, or auto(bits=8;longest=32)"),
    Switch: (_switch, "true, false, or a mode of torch.compile"),
    Rows: (_rows, "a whole number above 0, or auto"),
}
