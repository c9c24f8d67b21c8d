"""Who decodes: a bounded line of rows that wait, and one engine thread that takes them out of it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from dus.decoding import BlockDone, Decoded, Failed
from dus.serving.metrics import Metrics
from dus.serving.rows import Job, Rows, Told

_LOG = logging.getLogger("dus")


class ServingError(ValueError):
    """A request that is not served, or a server that cannot be; the message says why."""


class Overloaded(ServingError):
    """The line is full.

    Attributes:
        retry_after: Seconds after which there will probably be room.
    """

    def __init__(self, problem: str, retry_after: int) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Closing(ServingError):
    """The server takes no more rows."""


class TooLate(ServingError):
    """The time limit has passed."""


class Line:
    """Takes rows, up to a number, and counts what becomes of them; what decodes them is in a subclass.

    Args:
        line: How many rows may wait when all places are taken.
        limit: Seconds that a row may take, the wait included.
        metrics: What is counted.

    Attributes:
        held: How many rows are here.
        closing: Whether no more are taken.
        error: What has stopped the engine; None where nothing has.
    """

    def __init__(self, line: int, limit: float, metrics: Metrics) -> None:
        self.line, self.limit, self.metrics = line, limit, metrics
        self.changed = threading.Condition()
        self.held = 0
        self.closing = False
        self.error: Exception | None = None
        self.pace = 0.0

    @property
    def places(self) -> int:
        """How many rows are decoded at once."""
        raise NotImplementedError

    @property
    def capacity(self) -> int:
        """How many rows may be here at once, in a place or waiting."""
        return self.places + self.line

    def start(self) -> None:
        """Begin to decode."""

    def stop(self) -> None:
        """Wait until nothing is left, and end."""

    def drain(self) -> None:
        """Take no more rows."""
        self.closing = True

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take the rows of a request, all or none of them.

        Raises:
            Overloaded: There is no room for them.
            Closing: The server is about to end, or its engine has.
        """
        with self.changed:
            if self.closing or self.error is not None:
                raise Closing("the server is shutting down" if self.error is None else "the engine has stopped")
            if self.held + len(jobs) > self.capacity:
                wait = max(1, math.ceil(self.pace * self.held / self.places))
                raise Overloaded(
                    f"{self.held} rows are being decoded or wait, and there is room for {self.capacity}: "
                    f"try again in {wait} s",
                    wait,
                )
            self.held += len(jobs)
            self.take(jobs)

    def take(self, jobs: Sequence[Job]) -> None:
        """Decode rows that there is room for."""
        raise NotImplementedError

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up what is not done of some rows."""
        raise NotImplementedError

    def done(self, job: Job) -> None:
        """Let a row go."""
        job.done = True
        with self.changed:
            self.held -= 1

    def tell(self, job: Job, told: Told) -> None:
        """Tell whoever asked for a row what happened to it, and count it."""
        now = time.monotonic()
        if isinstance(told, BlockDone | Decoded) and not job.first:
            job.first = now
        if isinstance(told, Decoded | Failed):
            self.done(job)
            took = now - job.begun
            self.pace = took if not self.pace else 0.9 * self.pace + 0.1 * took
        if isinstance(told, Decoded):
            written = int(told.masked.sum())
            calls = told.steps * (1 if job.settings.cfg_scale == 0 else 2)
            self.metrics.row(written, calls, job.first - job.came, now - job.came)
        job.tell(told)


class Service(Line):
    """Decodes rows in a thread of its own.

    Args:
        rows: The engine.
        line, limit, metrics: The same as for `Line`.
    """

    def __init__(self, rows: Rows, line: int, limit: float, metrics: Metrics) -> None:
        super().__init__(line, limit, metrics)
        self.rows = rows
        self.waiting: deque[Job] = deque()
        self.gone: set[Job] = set()
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="dus-engine", daemon=True)
        metrics.watch(lambda: len(self.waiting), lambda: len(self.rows), lambda: self.rows.calls)

    @property
    def places(self) -> int:
        """How many rows are decoded at once."""
        return self.rows.places

    def start(self) -> None:
        """Begin to decode."""
        self.thread.start()

    def take(self, jobs: Sequence[Job]) -> None:
        """Put rows into the line; the lock is held."""
        self.waiting.extend(jobs)
        self.changed.notify()

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up what is not done of some rows; their places are free before the next call."""
        with self.changed:
            self.gone.update(job for job in jobs if not job.done)
            self.changed.notify()

    def drain(self) -> None:
        """Take no more rows, refuse requests of which nothing has begun, and finish the others."""
        self.closing = True  # no lock: a signal handler calls this, perhaps in the middle of submit
        threading.Thread(target=self._wake, daemon=True).start()

    def stop(self) -> None:
        """Drain, wait until nothing is left, and end the thread."""
        self.closing = self.stopped = True
        self._wake()
        self.thread.join()

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify()

    def _run(self) -> None:
        try:
            while self._prepare():
                for job, told in self.rows.turn():
                    self.tell(job, told)
        except Exception as error:  # a bug: nobody may wait for ever
            _LOG.exception("the engine thread has stopped")
            with self.changed:
                self.error = error
                for job in [*self.waiting, *self.rows.inside.values(), *self.rows.again]:
                    self.tell(job, Failed(-1, error))

    def _prepare(self) -> bool:
        """See to the line before the next call; False where the thread has to end."""
        with self.changed:
            while not (self.waiting or len(self.rows) or self.stopped):
                self.changed.wait()
            for job in self.gone:
                self._leave(job)
            self.gone.clear()
            now = time.monotonic()
            here = [*self.rows.inside.values(), *self.rows.again]
            for job in [*self.waiting, *here]:
                if now - job.came > self.limit:
                    self._refuse(job, TooLate(f"the answer took longer than the limit of {self.limit:g} s"))
            if self.closing:
                begun = {job.group for job in here}
                for job in [job for job in self.waiting if job.group not in begun]:
                    self._refuse(job, Closing("the server is shutting down"))
            while self.waiting and self.rows.room:
                self._begin(self.waiting.popleft(), now)
            return not self.stopped or bool(self.waiting or len(self.rows))

    def _begin(self, job: Job, now: float) -> None:
        job.begun = now
        try:
            self.rows.add(job)
        except Exception as error:  # checked before it came; what is found only here answers this row
            self.tell(job, Failed(-1, error))

    def _refuse(self, job: Job, error: ServingError) -> None:
        self._leave(job)
        job.tell(Failed(-1, error))

    def _leave(self, job: Job) -> None:
        """Take a job out, wherever it is."""
        if job.done:
            return
        if job in self.waiting:
            self.waiting.remove(job)
        else:
            self.rows.drop(job)
        self.done(job)
