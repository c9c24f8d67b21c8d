"""Batches on a cluster: Ray Data hands shards to actors that hold an engine each, and streams their answers back.

Only where a shard lies travels to an actor, which reads the prompts itself: the files have to be where every machine
of the cluster sees them. An actor that dies is started again, and Ray gives it its shards again; what came back from a
shard is written once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dus.serving.source import BatchError, Shard

if TYPE_CHECKING:
    from dus.serving.batch import Batch


class _Decoder:
    """An actor: a model with an engine, which answers one shard after the other."""

    def __init__(self, make: Callable[[], Batch], shards: list[Shard]) -> None:
        self.batch, self.shards = make(), {shard.number: shard for shard in shards}

    def __call__(self, given: dict[str, Any]) -> dict[str, list[Any]]:
        """The records of the shards whose numbers are given, as JSON."""
        numbers = [int(number) for number in given["shard"]]
        found = [
            json.dumps([(asked.index, record) for asked, record in self.batch.records(self.shards[number].read())])
            for number in numbers
        ]
        return {"shard": numbers, "records": found}


def answered(
    left: list[Shard], make: Callable[[], Batch], workers: int | None, num_gpus: float | None
) -> Iterator[tuple[Shard, int, dict[str, Any]]]:
    """The shards, decoded on a Ray cluster: each shard with a row's index and its record, shard after shard.

    The cluster is the one that the program is connected to already, or that `RAY_ADDRESS` names, or else one on this
    machine that lives as long as this runs.

    Args:
        left: What is to be decoded.
        make: Gives an actor's decoder; called in the actor.
        workers: How many actors; None is as many as there is room for.
        num_gpus: The number of GPUs of each worker; None is one where the cluster has any.

    Raises:
        BatchError: Ray is not installed, or there is no room for a worker.
    """
    if not left:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    try:
        import ray
        import ray.data
    except ImportError:
        raise BatchError("the ray engine needs Ray: pip install 'dus-lm[ray]'") from None
    began = not ray.is_initialized()
    if began:
        local: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    try:
        count, gpus = _room(workers, num_gpus)
        ray.data.DataContext.get_current().enable_progress_bars = False
        numbers = [{"shard": shard.number} for shard in left]
        by_number = {shard.number: shard for shard in left}
        found = ray.data.from_items(numbers, override_num_blocks=len(numbers)).map_batches(
            _Decoder,
            fn_constructor_args=(make, left),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(count, len(left)), max_tasks_in_flight_per_actor=2),
            num_cpus=0 if gpus else 1,
            num_gpus=gpus,
        )
        for row in found.iter_rows():
            for index, record in json.loads(row["records"]):
                yield by_number[row["shard"]], index, record
    finally:
        if began:
            ray.shutdown()


def _room(workers: int | None, num_gpus: float | None) -> tuple[int, float]:
    """How many actors, and GPUs for each."""
    import ray

    there = ray.cluster_resources()
    gpus = min(1.0, there.get("GPU", 0.0)) if num_gpus is None else num_gpus
    room = int(there.get("GPU", 0) // gpus) if gpus else int(there.get("CPU", 0))
    count = max(room, 0) if workers is None else workers
    if not 1 <= count <= room:
        raise BatchError(f"the cluster has room for {room} workers, not for {count}")
    return count, gpus
