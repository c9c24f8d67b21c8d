"""A sweep on a Ray cluster: an engine whose workers are actors, each with a denoiser of its own.

The cluster is the one that the program is connected to already, or that `RAY_ADDRESS` names, or else one on this
machine that lives as long as the engine. A worker that dies is started again, and Ray gives it its shard again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dus.evaluation.engine import Answered, Shard, Worker

if TYPE_CHECKING:
    from dus.denoisers import Denoiser

LIVES = 4
"""How often a worker is started, and a shard tried, before the sweep is given up."""


class RayError(ValueError):
    """A sweep that Ray can't do as asked."""


class RayEngine:
    """Answers shards on a Ray cluster; a context manager.

    Args:
        load: Gives the denoiser; called once in each worker.
        workers: How many; None is one for each GPU of the cluster, or for each processor where it has none.
        threads: The number of processor threads of each worker.
        gpus: The number of GPUs of each worker; None is one where the cluster has any.

    Raises:
        RayError: Ray is not installed, or the cluster has no room for a worker.
    """

    def __init__(
        self, load: Callable[[], Denoiser], workers: int | None = None, threads: int = 1, gpus: float | None = None
    ) -> None:
        self.load, self.workers, self.threads, self.gpus = load, workers, threads, gpus

    def __enter__(self) -> RayEngine:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        try:
            import ray
        except ImportError:
            raise RayError("the ray engine needs Ray: pip install 'dus-lm[ray]'") from None
        self.actors: list[Any] = []
        self.began = not ray.is_initialized()
        if self.began:
            local: dict[str, Any] = {"include_dashboard": False}
            if "RAY_ADDRESS" in os.environ:
                local = {}
            elif self.workers is not None:
                local["num_cpus"] = self.workers * self.threads
            ray.init(log_to_driver=False, logging_level="ERROR", **local)
        try:
            self.actors = self._actors()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        import ray

        if self.began:
            ray.shutdown()
            return
        for actor in self.actors:
            ray.kill(actor)

    def _actors(self) -> list[Any]:
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = min(1.0, sum(node.get("GPU", 0.0) for node in nodes)) if self.gpus is None else self.gpus
        room = sum(
            int(min(node.get("CPU", 0) // self.threads, node.get("GPU", 0) // gpus if gpus else float("inf")))
            for node in nodes
        )
        count = room if self.workers is None else self.workers
        if not 1 <= count <= room:
            raise RayError(f"the cluster has room for {room} workers, not for {count}")
        actor = ray.remote(Worker).options(
            num_cpus=self.threads, num_gpus=gpus, max_restarts=LIVES - 1, max_task_retries=LIVES - 1
        )
        return [actor.remote(self.load, self.threads) for _ in range(count)]

    def answers(self, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answered]]:
        """Each shard with its answers, as they are done.

        Raises:
            RayError: A worker died again and again.
        """
        import ray

        waiting = iter(shards)
        under_way: dict[Any, tuple[Any, Shard]] = {}

        def give(actor: Any) -> None:
            shard = next(waiting, None)
            if shard is not None:
                under_way[actor.answer.remote(shard)] = actor, shard

        for actor in self.actors:
            give(actor)
        while under_way:
            (done,), _ = ray.wait(list(under_way), num_returns=1)
            actor, shard = under_way.pop(done)
            answered = _result(done, shard)
            give(actor)
            yield shard, answered


def _result(reference: Any, shard: Shard) -> Answered:
    """What a worker answered, or the error that it raised."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        cell = shard.cell
        raise RayError(
            f"shard {shard.number} of {cell.planner}, blocks of {cell.block_length}, cost {LIVES} workers their lives "
            f"({type(error).__name__}); what was finished is kept, and smaller batches need less memory"
        ) from None
