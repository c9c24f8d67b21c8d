"""The same server over replicas: this process speaks HTTP, and Ray Serve routes each request to an engine.

A request whose replica dies is given to another one. Rows are decoded by what they ask for alone, the seed included,
so that the answer is the same, and what was told of it is not told again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor

from dus.decoding import Failed
from dus.denoisers import Denoiser, DenoiserError
from dus.serving.metrics import Metrics
from dus.serving.pending import Pending
from dus.serving.requests import Limits
from dus.serving.rows import Job, Rows, RowStep, Told
from dus.serving.service import Line, Service, ServingError, TooLate

LIVES = 4
"""How many replicas a request may cost their lives before it is given up."""
_UNBOUNDED = 1 << 30
_QUIET = {"log_level": "ERROR"}


class Described(Denoiser):
    """What a denoiser on another machine declares: enough to read requests by, and nothing that computes.

    Args:
        declared: The attributes of `Denoiser`.
    """

    def __init__(self, declared: dict[str, Any]) -> None:
        for name, value in declared.items():
            setattr(self, name, value)

    def logits(self, canvas: Tensor, **named: Any) -> Tensor:
        """Not here.

        Raises:
            DenoiserError: Always.
        """
        raise DenoiserError("this denoiser is in other processes")


class Replica:
    """One model with its engine thread, in a process of its own.

    Args:
        load: Gives the denoiser.
        limits: The limits of the server; how many rows wait is the front's to bound.
        cache: The engine's cache mode.
    """

    def __init__(self, load: Callable[[], Denoiser], limits: Limits, cache: str) -> None:
        self.model = load()
        self.service = Service(Rows(self.model, limits.rows, cache, watch=True), _UNBOUNDED, limits.seconds, Metrics())
        self.service.start()

    def describe(self) -> dict[str, Any]:
        """What the denoiser declares."""
        declared = {name: getattr(self.model, name) for name in Denoiser.__annotations__}
        return declared | {"device": "cpu"}

    async def decode(self, rows: list[dict[str, Any]]) -> AsyncGenerator[tuple[int, Told], None]:
        """What happens to the rows of one request, until all are done; a row that fails is told and ends it.

        Args:
            rows: For each row what makes its `Job`.
        """
        group = object()
        jobs = [Job(**row, group=group) for row in rows]
        pending = Pending(self.service, jobs)
        pending.submit()
        async for index, told in pending.events():
            yield index, told


class Cluster(Line):
    """Hands requests to the replicas.

    Args:
        handle: The handle of the deployment.
        replicas: The most there may be.
        limits: The limits of the server.
        metrics: What is counted.
    """

    def __init__(self, handle: Any, replicas: int, limits: Limits, metrics: Metrics) -> None:
        super().__init__(limits.line, limits.seconds, metrics)
        self.stream, self.count = handle.options(stream=True), replicas * limits.rows
        self.tasks: dict[Job, asyncio.Task[None]] = {}
        metrics.watch(lambda: 0, lambda: self.held)

    @property
    def places(self) -> int:
        """How many rows are decoded at once, when all replicas are there."""
        return self.count

    def take(self, jobs: Sequence[Job]) -> None:
        """Give the rows of a request to a replica; called in the event loop."""
        task = asyncio.get_running_loop().create_task(self._watched(list(jobs)))
        for job in jobs:
            self.tasks[job] = task

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up what is not done of some rows."""
        for task in {self.tasks[job] for job in jobs if not job.done and job in self.tasks}:
            task.cancel()

    async def _watched(self, jobs: list[Job]) -> None:
        """Decode the rows of a request, whatever happens to replicas, the client or the clock."""
        try:
            await asyncio.wait_for(self._decode(jobs), self.limit)
        except asyncio.TimeoutError:
            self._fail(jobs, TooLate(f"the answer took longer than the limit of {self.limit:g} s"))
        except Exception as error:  # whatever it is, somebody waits for it
            self._fail(jobs, error)
        finally:
            for job in jobs:
                self.tasks.pop(job, None)
                if not job.done:
                    self.done(job)

    async def _decode(self, jobs: list[Job]) -> None:
        from ray.exceptions import RayActorError, RayTaskError

        for life in range(LIVES):
            left = [job for job in jobs if not job.done]
            answer = self.stream.decode.remote([_plain(job) for job in left])
            try:
                async for index, told in answer:
                    if isinstance(told, RowStep):
                        left[index].told = told.number + 1
                    self.tell(left[index], told)
                return
            except RayTaskError as error:
                raise error.cause from None
            except RayActorError:
                if life == LIVES - 1:
                    raise ServingError(f"the request cost {LIVES} replicas their lives") from None
            finally:
                with suppress(Exception):
                    answer.cancel()

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        for job in jobs:
            if not job.done:
                self.tell(job, Failed(-1, error))


def _plain(job: Job) -> dict[str, Any]:
    """What travels of a job."""
    return {name: getattr(job, name) for name in ("tokens", "settings", "draw", "watched", "streamed", "told")}


@contextmanager
def deployed(
    load: Callable[[], Denoiser],
    limits: Limits,
    cache: str,
    *,
    replicas: int = 1,
    autoscaling: dict[str, float] | None = None,
    num_gpus: float | None = None,
) -> Iterator[tuple[Described, Callable[[Limits, Metrics], Line]]]:
    """Replicas of a model on a Ray cluster, while the context lasts.

    The cluster is the one that `RAY_ADDRESS` names, or one on this machine that lives as long.

    Args:
        load: Gives the denoiser; called in each replica.
        limits: The limits of the server.
        cache: The engines' cache mode.
        replicas: How many.
        autoscaling: Settings of Ray Serve's, such as `min_replicas` and `max_replicas`, in place of a number.
        num_gpus: The number of GPUs of each replica; None is one where the cluster has any.

    Yields:
        What the denoiser declares, and what makes the line to the replicas.

    Raises:
        ServingError: Ray is not installed, or the settings are none of Ray Serve's.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    try:
        import ray
        from ray import serve
    except ImportError:
        raise ServingError("the ray engine needs Ray Serve: pip install 'dus-lm[ray]'") from None
    size = {"num_replicas": replicas} if autoscaling is None else {"autoscaling_config": _checked(autoscaling)}
    began = not ray.is_initialized()
    if began:
        local: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    name = f"dus-{uuid.uuid4().hex[:8]}"
    try:
        serve.start(proxy_location="Disabled", logging_config=_QUIET)
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0)) if num_gpus is None else num_gpus
        deployment = serve.deployment(
            Replica,
            name="engine",
            ray_actor_options={"num_cpus": 0 if gpus else 1, "num_gpus": gpus},
            max_ongoing_requests=2 * limits.rows,
            max_constructor_retry_count=LIVES,
            health_check_period_s=1,
            logging_config=_QUIET,
            **size,
        )
        try:
            handle = serve.run(deployment.bind(load, limits, cache), name=name, route_prefix=None)
        except RuntimeError as error:
            raise ServingError(f"the replicas cannot be started: {error}") from None
        most = int((autoscaling or {}).get("max_replicas", replicas))
        described = Described(handle.describe.remote().result())
        yield described, lambda given, metrics: Cluster(handle, most, given, metrics)
    finally:
        if began:
            serve.shutdown()
            ray.shutdown()
        else:
            serve.delete(name)


def _checked(autoscaling: dict[str, float]) -> Any:
    """Ray Serve's own settings."""
    from ray.serve.config import AutoscalingConfig

    known = sorted(AutoscalingConfig.model_fields)
    if unknown := sorted(autoscaling.keys() - set(known)):
        raise ServingError(f"Ray Serve's autoscaling has no {unknown[0]}; known are {', '.join(known)}")
    try:
        return AutoscalingConfig(**autoscaling)
    except ValueError as error:  # pydantic's
        raise ServingError(f"Ray Serve does not take {autoscaling}: {error}") from None
