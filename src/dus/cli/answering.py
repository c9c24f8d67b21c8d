"""Many prompts, answered into files: what `dus batch` and `dus generate FILE --out` have in common."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dus.cli.output import as_json, check_writable, replacing
from dus.cli.prompts import to_rows

if TYPE_CHECKING:
    import typer

    from dus.cli.prompts import Prompt
    from dus.serving.batch import Batch
    from dus.serving.shards import Shards
    from dus.serving.source import Asked, Shard

_SHARD = 256
"""Prompts whose answers are kept in one file until all are there."""


def made(model: str | None, loading: dict[str, Any], decoding: dict[str, Any], **how: Any) -> Batch:
    """The decoder of a process."""
    from dus.cli.loading import load_model
    from dus.decoding import Settings
    from dus.serving.batch import Batch

    return Batch(load_model(model, **loading), Settings(**decoding), **how)


def here(
    left: list[Shard], read: Callable[[Shard], Iterable[Asked]], store: Shards, make: Callable[[], Batch]
) -> Iterator[tuple[Shard, int, dict[str, Any]]]:
    """What is left of some shards, decoded in this process; a shard, a row's index, and its record."""
    shard_of: dict[int, Shard] = {}

    def prompts() -> Iterator[Asked]:
        for shard in left:
            kept = store.kept(shard.number)
            for asked in read(shard):
                if asked.index not in kept:
                    shard_of[asked.index] = shard
                    yield asked

    for asked, record in make().records(prompts()) if left else ():
        yield shard_of.pop(asked.index), asked.index, record


def written(
    found: Iterable[tuple[Shard, int, dict[str, Any]]], store: Shards, shards: list[Shard], left: list[Shard]
) -> int:
    """Write what comes, under a progress bar; how many rows have an error."""
    from dus.cli.progress import counted

    total = sum(shard.count for shard in shards)
    there = total - sum(shard.count - len(store.kept(shard.number)) for shard in left)
    wrong = 0
    try:
        with counted(total, there) as advance:
            for shard, index, record in found:
                store.add(shard.number, shard.count, index, record)
                wrong += "error" in record
                advance()
    finally:
        store.close()
    return wrong


def into_file(out: Path, context: typer.Context, prompts: list[Prompt], decoding: dict[str, Any]) -> int:
    """Answer prompts into one file; until it is whole, what is done is kept beside it, and a killed run goes on.

    Args:
        out: the file.
        context: of a command that has the options of `dus generate`.
        prompts: with a line each.
        decoding: keyword arguments of `Settings`; a seed of None is the killed run's, or drawn.

    Returns:
        How many prompts could not be decoded.

    Raises:
        BatchError: beside the file lies what is left of another run.
    """
    from dus.cli.loading import asked, identity_of
    from dus.decoding import Settings
    from dus.decoding.settings import warn_of_idle
    from dus.serving.shards import Shards, lines_of
    from dus.serving.source import Asked
    from dus.writing.locks import alone

    check_writable(out)
    given = context.params
    store = Shards(out.with_name(f"{out.name}.parts"))
    decoding = {**decoding, "seed": seed_of(given["seed"], store)}
    settings = Settings(**decoding)
    warn_of_idle(settings, seed=given["seed"], samples=given["samples"])
    rows = [Asked(number, {"line": prompt.line}, prompt.content) for number, prompt in enumerate(prompts)]
    shards = _shards(rows, str(prompts[0].file))
    digest = hashlib.sha256(as_json([(row.place, row.content) for row in rows]).encode()).hexdigest()[:16]
    loading, how = asked(context), {name: given[name] for name in ("samples", "chat")}
    record = {"model": identity_of(given["model"], loading, here=True), "prompts": digest, **how, **decoding}

    def make() -> Batch:
        batch = made(given["model"], loading, decoding, rows=given["batch_size"], **how)
        to_rows(batch.model, prompts, chat=given["chat"], max_new_tokens=settings.max_new_tokens)  # all, or none
        return batch

    with alone(store.folder):
        store.begin({**record, "planner": str(settings.rule)})
        left = [shard for shard in shards if not store.whole(shard.number)]
        try:
            found = here(left, lambda shard: rows[shard.first :][: shard.count], store, make)
            wrong = written(found, store, shards, left)
        except BaseException:
            if not any(store.folder.glob("part-*")):
                shutil.rmtree(store.folder)  # nothing is done that would have to be kept
            raise
        with replacing(out) as file:
            file.writelines(lines_of(store, len(shards)))
        shutil.rmtree(store.folder)
    return wrong


def seed_of(asked: int | None, store: Shards) -> int:
    """The seed that is asked for, or that of the run which goes on, or one that is drawn."""
    found = store.seed() if asked is None else asked
    return secrets.randbits(31) if found is None else found


def _shards(rows: list[Asked], file: str) -> list[Shard]:
    """Rows that are in memory, in shards."""
    from dus.serving.source import Piece, Shard

    return [
        Shard(number, first, (Piece(file, first, min(_SHARD, len(rows) - first)),))
        for number, first in enumerate(range(0, len(rows), _SHARD))
    ]
