"""What a generation is asked for, checked once."""

from __future__ import annotations

import difflib
import inspect
import secrets
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from itertools import chain
from numbers import Integral, Real
from typing import ParamSpec, TypeVar

from dus.decoding.adablock import AdaBlock
from dus.decoding.lengths import Auto, BlockLengthError
from dus.decoding.planning import named
from dus.planners import Planner, parse
from dus.writing.synonyms import meant

CACHES = ("auto", "none", "prefix", "dual", "block", "touched")
EOS = ("stop", "ignore")
BLOCK_LENGTH = 32
"""The length of blocks where attention is full and none is asked for: that of the DUS paper's main table."""


class GenerationError(ValueError):
    """A generation that can't be done as asked."""


@dataclass(frozen=True)
class Settings:
    """How to decode; the fields are the keyword arguments of `dus.generate`, which describes them.

    Attributes:
        rule: The planner, read from its text if it was given as one.
        auto: The rule that chooses block lengths; None if all blocks have the same length.
        stops: The stop strings, however they were given.

    Raises:
        GenerationError: A field cannot be meant; the message names it and says what would be right.
        PlannerError: The planner's text cannot be read.
    """

    planner: Planner | str = "dus"
    max_new_tokens: int = 256
    block_length: int | str | None = None
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    cfg_scale: float = 0.0
    cache: str = "auto"
    stop: list[str] | str | None = None
    suppress_tokens: Sequence[int] | None = None
    defer_tokens: Sequence[int] | None = None
    eos: str = "stop"
    scores: bool = True
    rule: Planner = field(init=False, repr=False)
    auto: Auto | AdaBlock | None = field(init=False, repr=False)
    stops: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", parse(self.planner))
        object.__setattr__(self, "auto", _auto(self.block_length))
        stops = self.stop if isinstance(self.stop, list | tuple) else [self.stop] if isinstance(self.stop, str) else []
        object.__setattr__(self, "stops", tuple(stops))
        for name in ("suppress_tokens", "defer_tokens"):
            if isinstance(tokens := getattr(self, name), list):
                object.__setattr__(self, name, tuple(tokens))
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbits(31))
        for holds, problem in chain(self._types(), self._ranges()):
            if not holds:
                raise GenerationError(problem)

    @property
    def longest(self) -> int:
        """The length of the blocks, 32 where none is asked for; where it is chosen, the longest that may be."""
        if self.auto is not None:
            return self.auto.widest
        return BLOCK_LENGTH if self.block_length is None else self.block_length  # type: ignore[return-value]

    @property
    def key(self) -> Hashable:
        """What rows have to agree in to be decoded by one rule; each keeps its own seed, blocks and stops."""
        try:
            hash(rule := self.rule)
        except TypeError:  # a planner of the user's own that holds a list
            rule = id(self.rule)  # type: ignore[assignment]
        lists = (tuple(self.suppress_tokens or ()), tuple(self.defer_tokens or ()))
        return (rule, self.temperature, self.top_p, self.top_k, self.cfg_scale, self.scores, *lists)

    def _types(self) -> Iterator[tuple[bool, str]]:
        """Whether each field is of the type that is needed, and what to say if not."""
        for name in ("max_new_tokens", "block_length", "top_k", "seed"):
            value = self.longest if name == "block_length" else getattr(self, name)
            whole = is_whole(value) or (value is None and name == "top_k")
            yield whole, f"{name} is {value!r}, but has to be a whole number"
        for name in ("temperature", "top_p", "cfg_scale"):
            value = getattr(self, name)
            real = (isinstance(value, Real) and not isinstance(value, bool)) or (value is None and name == "top_p")
            yield real, f"{name} is {value!r}, but has to be a number"
        strings = all(isinstance(text, str) for text in self.stops) and isinstance(self.stop, list | tuple | str | None)
        yield strings, f"stop is {self.stop!r}, but has to be a string or a list of strings"
        yield isinstance(self.scores, bool), f"scores is {self.scores!r}, but has to be True or False"
        for name in ("suppress_tokens", "defer_tokens"):
            value = getattr(self, name)
            whole = isinstance(value, list | tuple) and all(map(is_whole, value))
            yield value is None or whole, f"{name} is {value!r}, but has to be a list of token ids"

    def _ranges(self) -> Iterator[tuple[bool, str]]:
        """Whether each field can be meant, and what to say if not."""
        top_p, top_k = self.top_p, self.top_k
        yield (
            0 <= self.max_new_tokens <= 1e9,
            f"max_new_tokens is {self.max_new_tokens}, it has to lie between 0 and 1e9",
        )
        yield self.longest >= 1, f"block_length is {self.block_length}, at least 1 is needed"
        yield 0 <= self.temperature <= 1e9, f"temperature is {self.temperature}, it has to lie between 0 and 1e9"
        yield top_p is None or 0 < top_p <= 1, f"top_p is {top_p}, it has to be above 0 and at most 1"
        yield top_k is None or top_k >= 1, f"top_k is {top_k}, at least 1 is needed"
        yield -(2**63) <= (self.seed or 0) < 2**63, f"seed is {self.seed}, but has to fit in 64 bits"
        yield 0 <= self.cfg_scale <= 1e9, f"cfg_scale is {self.cfg_scale}, it has to lie between 0 and 1e9"
        yield self.cache in CACHES, f"cache is {self.cache!r}, known are {', '.join(CACHES)}"
        yield self.eos in EOS, f"eos is {self.eos!r}, known are {', '.join(EOS)}"
        yield all(self.stops), "stop holds an empty string, which every text contains"


def is_whole(value: object) -> bool:
    """Whether something is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _auto(block_length: object) -> Auto | AdaBlock | None:
    """The rule that a block length names; None where it is a number, or ought to be one."""
    try:
        return (AdaBlock.parse(block_length) or Auto.parse(block_length)) if isinstance(block_length, str) else None
    except BlockLengthError as error:
        raise GenerationError(str(error)) from None


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
