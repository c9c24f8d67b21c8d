"""Arguments that are unknown here or have no effect, and what is said of them."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import wraps
from typing import ParamSpec, TypeVar

from dus.decoding.planning import named
from dus.decoding.settings import GenerationError, Settings
from dus.writing.synonyms import meant

P = ParamSpec("P")
T = TypeVar("T")


class ArgumentError(GenerationError, TypeError):
    """An argument that a function does not have; the message says what it is called here, if anything."""


class GenerationWarning(UserWarning):
    """Something that was asked of a generation and has no effect, or hardly the one that was meant."""


def understood(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function answer an unknown keyword with the name that it has here, as an `ArgumentError`.

    A function that passes keywords on takes the fields of `Settings`.
    """
    parameters = inspect.signature(function).parameters
    known = {name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD}
    if len(known) < len(parameters):
        known |= {each.name for each in fields(Settings) if each.init}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                raise ArgumentError(f"{function.__name__}() has no argument {name!r}{_advice(name, known)}")
        return function(*args, **kwargs)

    return call


def _advice(name: str, known: set[str]) -> str:
    """What would be right in place of a name, as the end of a sentence."""
    told = meant(name)
    if known & set(told.replace("=", " ").split()):
        return f": {told}"
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f": did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def warn_of_idle(settings: Settings, *, seed: int | None = None, samples: int = 1) -> None:
    """Warn of each argument that has no effect on a generation, naming what would have one.

    Args:
        settings: The settings of the generation.
        seed: The seed that was given; None if none was.
        samples: The number of answers to each prompt.
    """
    for sentence in idle(settings, seed=seed, samples=samples):
        warnings.warn(sentence, GenerationWarning, stacklevel=4)  # the caller of what is `understood`


def idle(settings: Settings, *, seed: int | None = None, samples: int = 1) -> Iterator[str]:
    """A sentence for each argument that has no effect, as for `warn_of_idle`."""
    rule = settings.rule
    if settings.defer_tokens and rule.scheduled and settings.auto is None:
        yield (
            f"defer_tokens has no effect under {named(rule)}, which does not ask how sure the model is: a planner that "
            "does, such as confidence(like=dus), writes them last, and suppress_tokens are never written"
        )
    if settings.temperature > 0:
        return
    greedy = "has no effect at temperature 0, where the likeliest token is taken: it goes with a temperature above 0"
    for name in ("top_p", "top_k"):
        if getattr(settings, name) is not None:
            yield f"{name} {greedy}"
    if seed is not None:
        own = f"; the order of {named(rule)} has a seed of its own" if rule.draws else ""
        yield f"seed {greedy}{own}"
    if samples > 1 and not rule.draws:
        yield f"the {samples} samples of a prompt are all the same at temperature 0: they go with a temperature above 0"
