"""Rows of many askers in one engine, which goes on when something goes wrong in one of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from dus.decoding import BlockDone, Decoded, Engine, Event, Failed, GenerationError, Settings, Step
from dus.decoding.caches import send
from dus.decoding.memory import is_lost, is_out_of_memory, warn
from dus.denoisers import Denoiser


@dataclass(frozen=True)
class RowStep:
    """What one denoiser call did to one row. Positions count from the row's first masked one.

    Attributes:
        number: The step, from 0.
        start, length: The row's block.
        positions: The positions that were written, or overwritten.
        tokens: The ids that were written there.
        confidence: The probability that each had; zeros where scores were not asked for.
        remasked: Positions that were taken back.
    """

    number: int
    start: int
    length: int
    positions: list[int]
    tokens: list[int]
    confidence: list[float]
    remasked: list[int]


Told: TypeAlias = RowStep | BlockDone | Decoded | Failed
"""What happened to a row."""


def nobody(told: Told) -> None:
    """Tell nobody."""


@dataclass(eq=False)
class Job:
    """A row that somebody asked for.

    Attributes:
        tokens: Int64 1-D, the prompt.
        settings: How to decode it.
        draw: The row's index in the asker's list.
        watched: Whether the asker wants to know each `RowStep`.
        streamed: Whether the asker wants to know more than the end.
        tell: A function that is called with what happens to the row.
        group: What the rows of one request have in common.
        came: When it was made, in seconds of the monotonic clock; `begun` is when it got a place.
        first: When its first block was done; 0 before.
        done: Whether it has ended, in whatever way.
        steps: How many it has taken since it was begun last.
        told: How many of them were told: a row that is begun again takes the same steps again.
    """

    tokens: Tensor
    settings: Settings
    draw: int = 0
    watched: bool = False
    streamed: bool = False
    tell: Callable[[Told], None] = nobody
    group: object = None
    came: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    first: float = 0.0
    done: bool = False
    steps: int = 0
    told: int = 0


class Rows:
    """An engine and the jobs in it.

    A denoiser call that raises ends no job but the one it is for: the rows that were in it are begun again one at a
    time, and whoever raises alone has failed. Where memory is short, there are half as many places from then on.

    Args:
        model: The denoiser.
        places: How many rows are decoded together.
        cache: The engine's cache mode.
        watch: Whether steps and blocks are told, beside the rows that are done.

    Attributes:
        inside: The jobs in the engine, by the number that it gave them.

    Raises:
        GenerationError: A number of places or a cache mode that cannot be.
    """

    def __init__(self, model: Denoiser, places: int, cache: str = "auto", *, watch: bool = False) -> None:
        self.model, self.cache, self.watch = model, cache, watch
        self.engine = Engine(model, places, cache, watch=watch)
        self.inside: dict[int, Job] = {}
        self.again: deque[Job] = deque()
        self.alone = False
        self.calls_before = 0

    def __len__(self) -> int:
        """How many jobs are here."""
        return len(self.inside) + len(self.again)

    @property
    def places(self) -> int:
        """How many rows are decoded together."""
        return self.engine.places

    @property
    def room(self) -> int:
        """How many more jobs may be added now."""
        return 0 if self.alone else max(self.places - len(self), 0)

    @property
    def calls(self) -> int:
        """Denoiser calls so far."""
        return self.calls_before + self.engine.calls

    def add(self, job: Job) -> None:
        """Put a job into the engine.

        Raises:
            GenerationError, PlannerError: As `Engine.submit`.
        """
        job.steps = 0
        self.inside[self.engine.submit(job.tokens, job.settings, draw=job.draw)] = job

    def drop(self, job: Job) -> None:
        """Take a job out; nothing happens where it is not here any more."""
        for number, other in self.inside.items():
            if other is job:
                self.engine.cancel(number)
                del self.inside[number]
                return
        if job in self.again:
            self.again.remove(job)

    def turn(self) -> list[tuple[Job, Told]]:
        """Make one denoiser call, and tell what came of it for each job.

        Raises:
            GenerationError: the device has failed for good, so that beginning again is of no use.
        """
        while self.again and len(self.inside) < (1 if self.alone else self.places):
            self.add(self.again.popleft())
        if not self.inside:
            self.alone = False
            return []
        try:
            events = self.engine.step()
        except Exception as error:  # a denoiser is anybody's code
            if is_lost(error):
                raise GenerationError(
                    f"the device has failed, and this process has to be started again: {error}"
                ) from error
            return self._begin_again(error)
        ended = {event.row for event in events if isinstance(event, Decoded | Failed)}
        return [told for event in events for told in self._told(event, ended)]

    def _told(self, event: Event, ended: set[int]) -> list[tuple[Job, Told]]:
        """An event for whom it concerns; a row's last block is told by its end, which says where the answer stops."""
        if isinstance(event, Step):
            return self._steps(event)
        if isinstance(event, BlockDone):
            return [] if event.row in ended else [(self.inside[event.row], event)]
        return [(self.inside.pop(event.row), event)]

    def _steps(self, step: Step) -> list[tuple[Job, Told]]:
        """The step of each row that is watched, on the host."""
        jobs = [self.inside[number] for number in step.rows]
        for job in jobs:
            job.steps += 1
        fresh = [index for index, job in enumerate(jobs) if job.watched and job.steps > job.told]
        if not fresh:
            return []
        written, remasked, tokens, confidence = _at_home(step)
        found: list[tuple[Job, Told]] = []
        for index in fresh:
            jobs[index].told = jobs[index].steps
            start, at = step.starts[index], written[index].nonzero()[:, 0]
            told = RowStep(
                number=jobs[index].steps - 1,
                start=start,
                length=step.lengths[index],
                positions=(at + start).tolist(),
                tokens=tokens[index, at].tolist(),
                confidence=confidence[index, at].tolist(),
                remasked=(remasked[index].nonzero()[:, 0] + start).tolist(),
            )
            found.append((jobs[index], told))
        return found

    def _begin_again(self, error: Exception) -> list[tuple[Job, Told]]:
        """Go on with a new engine after a call that raised."""
        jobs, places = list(self.inside.values()), self.places
        self.inside.clear()
        self.calls_before += self.engine.calls
        short = isinstance(error, RuntimeError) and is_out_of_memory(error)
        if short and len(jobs) > 1:
            places = max(len(jobs) // 2, 1)
            warn(f"{len(jobs)} rows do not fit in memory together: from now on {places} are decoded at a time")
        del self.engine  # and its keys and values, before there are others
        self.engine = Engine(self.model, places, self.cache, watch=self.watch)
        if len(jobs) == 1:
            if short:
                length = len(jobs[0].tokens) + jobs[0].settings.max_new_tokens
                error = GenerationError(f"a row of {length} tokens does not fit in the device's memory")
            return [(jobs[0], Failed(-1, error))]
        self.again.extend(jobs)
        self.alone = self.alone or not short
        return []


def _at_home(step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On the host, `[N, B]`: the positions that were written and remasked, tokens and confidences, in one transfer."""
    there = step.tokens.device
    marks = (send((step.unmasked | step.edited).int(), there), send(step.remasked.int(), there))
    planes = torch.stack([*marks, step.tokens.int(), step.confidence.view(torch.int32)]).cpu()
    written, remasked, tokens, confidence = planes
    return written > 0, remasked > 0, tokens, confidence.view(torch.float32)
