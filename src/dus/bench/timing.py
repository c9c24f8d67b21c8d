"""Timing things side by side, and telling where the time goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from dus.decoding.caches import KeyValuePool
from dus.denoisers import DenoiserAround, KeyValueCache, Layout, NativeLM
from dus.denoisers.base import Read
from dus.planners import BlockState, Planner, Prediction

SCORES = ("confidence", "entropy", "margin", "token_confidence", "token", "divergence")


def now() -> float:
    """Seconds, once all that the GPU was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def in_rounds(actions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each action in each round, so that a slow spell of the machine strikes all alike."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            began = now()
            action()
            taken[name].append(now() - began)
    return taken


def side_by_side(actions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each action, in rounds."""
    return {name: statistics.median(seconds) for name, seconds in in_rounds(actions, repeats).items()}


def over(longer: list[float], shorter: list[float]) -> float:
    """How many times as long one action took as another, as the median of the rounds, each of which has both."""
    return statistics.median(one / other for one, other in zip(longer, shorter, strict=True))


@dataclass(frozen=True)
class Call:
    """One denoiser call as it was made: all that its shape depends on."""

    canvas: Tensor
    read: Read
    attention_mask: Tensor | None
    layout: Layout | None


class Watched(DenoiserAround):
    """A denoiser that notes each call and its seconds.

    Attributes:
        calls: What was asked of it.
        seconds: What each call took.
        ends: When each call ended, on the clock of `now`.
    """

    def __init__(self, inner: NativeLM) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []
        self.seconds: list[float] = []
        self.ends: list[float] = []

    def logits(
        self, canvas: Tensor, *, read: Read, attention_mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """The inner denoiser's."""
        self.calls.append(Call(canvas, read, attention_mask, None if cache is None else cache.layout))
        began = now()
        logits = self.inner.logits(canvas, read=read, attention_mask=attention_mask, cache=cache)
        self.ends.append(now())
        self.seconds.append(self.ends[-1] - began)
        return logits

    def replay(self) -> None:
        """The bare forwards: the same calls on the same shapes, with nothing around them."""
        lines, width = max(len(call.canvas) for call in self.calls), max(call.canvas.shape[1] for call in self.calls)
        pool = KeyValuePool(lines, width)
        for call in self.calls:
            if call.layout is not None:
                pool.layout = call.layout
            cache = pool if call.layout is not None else None
            self.inner.logits(call.canvas, read=call.read, attention_mask=call.attention_mask, cache=cache)


class WatchedPlanner(Planner):
    """A planner whose seconds are counted, without those of the scores that it reads: the sampler computes them."""

    def __init__(self, inner: Planner) -> None:
        self.inner, self.seconds = inner, 0.0

    def _timed(self, name: str, *arguments: Any) -> Any:
        began = now()
        answer = getattr(self.inner, name)(*arguments)
        self.seconds += now() - began
        return answer

    def _apart(self, prediction: Prediction) -> Prediction:
        def read(score: str) -> Tensor:
            began = now()
            found: Tensor = getattr(prediction, score)
            self.seconds -= now() - began
            return found

        return Prediction(**{score: partial(read, score) for score in SCORES})

    def wanted(self, block: BlockState) -> Tensor:
        """The inner planner's."""
        return self._timed("wanted", block)

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """The inner planner's."""
        return self._timed("select", block, self._apart(prediction))

    def revise(self, block: BlockState, prediction: Prediction) -> Tensor:
        """The inner planner's."""
        return self._timed("revise", block, self._apart(prediction))

    def edit(self, block: BlockState, prediction: Prediction) -> Tensor:
        """The inner planner's."""
        return self._timed("edit", block, self._apart(prediction))

    def lingers(self, block: BlockState) -> Tensor:
        """The inner planner's."""
        return self._timed("lingers", block)

    def num_steps(self, block_length: int) -> int | None:
        """The inner planner's."""
        return self.inner.num_steps(block_length)

    scheduled, revises, edits, compares = (
        property(attrgetter(f"inner.{name}"), doc="The inner planner's.")
        for name in ("scheduled", "revises", "edits", "compares")
    )
