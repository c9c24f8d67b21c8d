"""`dus batch`: files of prompts, answered into a folder; a run that was killed goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dus.cli import options


@options.takes(options.DECODING, options.CLUSTER, options.MODEL, options.FORM)
def batch(
    context: typer.Context,
    prompts: Annotated[
        list[str],
        typer.Argument(
            metavar="IN…",
            show_default=False,
            help="Files of prompts, .jsonl or .parquet, or folders or globs of them; a row has question, prompt, text "
            "or chat messages, and perhaps an id.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the answers; a run that was stopped goes on there.")],
    samples: Annotated[int, typer.Option(min=1, help="How many answers are written to each prompt.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="How many answers are decoded together.")] = 64,
    shard_size: Annotated[int, typer.Option(min=1, help="How many prompts' answers are in one file.")] = 256,
    *,
    planner: str,
    model: str | None,
    seed: int | None,
    chat: bool | None,
    engine: str,
    workers: int | None,
    num_gpus: float | None,
) -> None:
    """Answer every prompt of some files.

    The answers are in OUT/part-00000.jsonl and so on, in the order of the prompts, each with the prompt's id (its
    number where it has none). A prompt that cannot be decoded has an error there in place of its answers, and the exit
    code is 1. Given again, the same command does what is left.
    """
    options.check_engine(engine, workers=workers, num_gpus=num_gpus)
    from dus.serving import keep_memory_low

    keep_memory_low()
    from dus.cli import answering
    from dus.cli.answering import here, seed_of, written
    from dus.cli.loading import asked, identity_of
    from dus.decoding import Settings
    from dus.decoding.settings import warn_of_idle
    from dus.serving.shards import Shards
    from dus.serving.source import Shard, files_of, scan
    from dus.writing.files import alone

    store = Shards(out)
    decoding = {"planner": planner, **options.decoding(context), "seed": seed_of(seed, store)}
    settings = Settings(**decoding)  # what is wrong with it is said before anything is read
    warn_of_idle(settings, seed=seed, samples=samples)
    shards, digest = scan(files_of(prompts), shard_size)
    loading = asked(context.params)
    identity = identity_of(model, loading, here=True)
    how = {"samples": samples, "chat": chat, "shard_size": shard_size}
    how |= {name: value for name, value in decoding.items() if name not in ("planner", "scores")}
    with alone(out):
        store.begin({"model": identity, "prompts": digest, "planner": str(settings.rule), **how})
        left = [shard for shard in shards if not store.whole(shard.number)]
        loading["dtype"] = identity["dtype"]
        make = partial(answering.made, model, loading, decoding, rows=rows, samples=samples, chat=chat)
        if engine == "ray":
            from dus.serving.ray_data import answered

            found = answered(left, make, workers, num_gpus)
        else:
            found = here(left, Shard.read, store, make)
        wrong = written(found, store, shards, left)
    if wrong:
        typer.echo(f"{wrong} prompts could not be decoded: their lines in {out} have an error", err=True)
        raise typer.Exit(1)
