"""A sweep: cells on an engine, every shard on disk as soon as it is done, nothing decoded twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dus.evaluation.cells import Cell, SweepError
from dus.evaluation.engine import Engine, Shard, shards
from dus.evaluation.questions import Questions, expected
from dus.evaluation.store import Outcome, Store


def sweep(
    engine: Engine,
    asked: Sequence[Questions],
    cells: Sequence[Cell],
    store: Store,
    *,
    run_code: bool = False,
    tell: Callable[[Shard], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Decode and score what is not on disk yet; yields every cell, those that were there first.

    Args:
        engine: decodes.
        asked: the questions; they score here, in this process.
        cells: of `grid`, on these questions.
        store: where answers go, and where those of an earlier run are found.
        run_code: whether what the model wrote may be run, in the sandbox, where questions are scored by that.
        tell: called with each shard once it is on disk.

    Raises:
        SweepError: scoring runs code and nobody agreed to that; or a file of the store is damaged.
    """
    check_consent(asked, run_code)
    named = {questions.name: questions for questions in asked}
    left = {cell: store.missing(cell) for cell in cells if not store.has(cell)}
    for cell in cells:
        if cell not in left:
            store.drop_shards(cell)  # of a run that was killed while it tidied up
            yield store.read(cell)
        elif not left[cell]:
            yield store.finish(cell, named[cell.questions].unit)
    waiting = (shard for cell in left for shard in shards(cell, named[cell.questions]) if shard.number in left[cell])
    for shard, answered in engine.answers(waiting):
        questions = named[shard.cell.questions]
        texts = [answer.text for answer in answered.answers]
        scores = [float(questions.score(index, text)) for index, text in zip(shard.indices, texts, strict=True)]
        store.keep(shard, answered, scores, [expected(questions, index) for index in shard.indices])
        tell(shard)
        left[shard.cell].remove(shard.number)
        if not left[shard.cell]:
            yield store.finish(shard.cell, questions.unit)


def check_consent(asked: Sequence[Questions], run_code: bool) -> None:
    """Refuse to score by running code where nobody agreed to that.

    Raises:
        SweepError: naming the questions, and how to agree.
    """
    for questions in asked:
        if questions.runs_code and not run_code:
            raise SweepError(
                f"{questions.name} is scored by running what the model writes, in a sandbox: "
                "agree to that with --confirm-run-unsafe-code (run_code=True)"
            )
