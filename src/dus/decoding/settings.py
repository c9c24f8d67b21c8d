"""What a generation is asked for, checked once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from dus.planners import Planner, parse

CACHES = ("none", "prefix", "dual", "block", "touched")
EOS = ("stop", "ignore")


class GenerationError(ValueError):
    """A generation that can't be done as asked."""


@dataclass(frozen=True)
class Settings:
    """How to decode; the fields are the keyword arguments of `dus.generate`, which describes them.

    Raises:
        GenerationError: naming the field, what is wrong with it and what would be right.
        PlannerError: where the planner's text can't be read.
    """

    planner: Planner | str = "dus"
    max_new_tokens: int = 256
    block_length: int = 32
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    cfg_scale: float = 0.0
    cache: str = "none"
    stop: list[str] | str | None = None
    suppress_tokens: list[int] | None = None
    defer_tokens: list[int] | None = None
    eos: str = "stop"
    scores: bool = True
    rule: Planner = field(init=False, repr=False)
    stops: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", parse(self.planner))
        stops = [self.stop] if isinstance(self.stop, str) else list(self.stop or [])
        object.__setattr__(self, "stops", tuple(stops))
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbits(31))
        for holds, problem in self._rules():
            if not holds:
                raise GenerationError(problem)

    def _rules(self) -> list[tuple[bool, str]]:
        top_p, top_k = self.top_p, self.top_k
        return [
            (self.max_new_tokens >= 0, f"max_new_tokens is {self.max_new_tokens}, but cannot be negative"),
            (self.block_length >= 1, f"block_length is {self.block_length}, at least 1 is needed"),
            (self.temperature >= 0, f"temperature is {self.temperature}, but cannot be negative"),
            (top_p is None or 0 < top_p <= 1, f"top_p is {top_p}, it has to be above 0 and at most 1"),
            (top_k is None or top_k >= 1, f"top_k is {top_k}, at least 1 is needed"),
            (self.cfg_scale >= 0, f"cfg_scale is {self.cfg_scale}, but cannot be negative"),
            (self.cache in CACHES, f"cache is {self.cache!r}, known are {', '.join(CACHES)}"),
            (self.eos in EOS, f"eos is {self.eos!r}, known are {', '.join(EOS)}"),
            (all(self.stops), "stop holds an empty string, which every text contains"),
        ]
