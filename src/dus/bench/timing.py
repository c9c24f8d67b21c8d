"""Timing things side by side, telling where the time goes, and the products that no step can go below."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from dus.decoding.caches import KeyValuePool
from dus.denoisers import DenoiserAround, KeyValueCache, Layout, NativeLM
from dus.denoisers.base import Read
from dus.denoisers.experts import multiplied
from dus.denoisers.packed import PackedLinear
from dus.planners import BlockState, Planner, Prediction

SCORES = ("confidence", "entropy", "margin", "token_confidence", "token", "divergence")


def now() -> float:
    """Seconds, once all that the GPU was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def side_by_side(actions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each action, in rounds, so that a slow spell of the machine strikes all alike."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            began = now()
            action()
            taken[name].append(now() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


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


@dataclass
class Products:
    """Products with weights, of linear layers and of experts, as they were made; those of attention are left out.

    Attributes:
        made: For each module its name, and how many rows it got: in all, or for each of the experts that got some.
        rows: Random ones to make them again with, for each number and width.
    """

    made: list[tuple[Any, int | list[tuple[int, int]]]] = field(default_factory=list)
    rows: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Note the products of the calls within."""
        handles = [module.register_forward_pre_hook(self._note) for module in model.modules() if _multiplies(module)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note(self, module: Any, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Linear):
            self.made.append((module, given[0].numel() // module.in_features))
        else:
            counts = torch.bincount(given[1].flatten(), minlength=module.num_experts).tolist()
            self.made.append((module, [(expert, count) for expert, count in enumerate(counts) if count]))

    @torch.no_grad()
    def replay(self) -> None:
        """Make the same products again, on random rows."""
        for module, counts in self.made:
            like = module.weight if isinstance(module, nn.Linear) else module.down_proj
            for weight, which in _weights(module, counts):
                parts = []
                for _, count in which:
                    size = (count, weight.shape[-1])
                    if size not in self.rows:
                        self.rows[size] = torch.randn(size, dtype=like.dtype, device=like.device)
                    parts.append(self.rows[size])
                if isinstance(module, PackedLinear):
                    module.product(parts[0])
                elif isinstance(module, nn.Linear):
                    nn.functional.linear(parts[0], weight, module.bias)
                else:
                    multiplied(weight, parts, which)


def _weights(module: Any, counts: int | list[tuple[int, int]]) -> list[tuple[Tensor, list[tuple[int, int]]]]:
    """The weights of a module, with how many rows each of their experts gets; a linear layer is one expert."""
    if isinstance(counts, int):
        return [(module.weight, [(0, counts)])]
    return [(module.gate_up_proj, counts), (module.down_proj, counts)]


def _multiplies(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or getattr(getattr(module, "gate_up_proj", None), "ndim", 0) == 3
