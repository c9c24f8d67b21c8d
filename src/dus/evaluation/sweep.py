"""A sweep: cells on an engine, every shard on disk as soon as it is done, nothing decoded twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from dus.evaluation.cells import Cell, SweepError
from dus.evaluation.engine import Engine, Shard, shards
from dus.evaluation.store import Outcome, Store
from dus.evaluation.tasks import Questions


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
        engine: The engine that decodes.
        asked: The questions; they score answers here, in this process.
        cells: The cells to decode, made by `grid` from these questions.
        store: The store that answers go to, and where those of an earlier run are found.
        run_code: Whether what the model wrote may be run, in the sandbox, to score questions that need it.
        tell: A function that is called with each shard once it is on disk.

    Raises:
        SweepError: Scoring runs code and nobody agreed to that, or a file of the store is damaged.
    """
    check_consent(asked, run_code)
    named = {questions.name: questions for questions in asked}
    known: dict[tuple[str, int, str], float] = {}  # planners often answer alike, and running a program takes long
    left = {cell: store.missing(cell) for cell in cells if not store.has(cell)}
    for cell in cells:
        if cell not in left:
            store.drop_shards(cell)  # of a run that was killed while it tidied up
            outcome = store.read(cell)
            found = scored_anew(outcome, named[cell.questions])
            yield outcome if found is outcome else store.finish(found)
        elif not left[cell]:
            yield _finished(store, cell, named[cell.questions])
    waiting = (shard for cell in left for shard in shards(cell, named[cell.questions]) if shard.number in left[cell])
    for shard, answered in engine.answers(waiting):
        questions = named[shard.cell.questions]
        texts = [answer.text for answer in answered.answers]
        for key in zip([questions.name] * len(texts), shard.indices, texts, strict=True):
            if key not in known:
                known[key] = float(questions.score(*key[1:]))
        scores = [known[questions.name, index, text] for index, text in zip(shard.indices, texts, strict=True)]
        store.keep(shard, answered, scores, [questions.expected(index) for index in shard.indices])
        tell(shard)
        left[shard.cell].remove(shard.number)
        if not left[shard.cell]:
            yield _finished(store, shard.cell, questions)


def _finished(store: Store, cell: Cell, questions: Questions) -> Outcome:
    return store.finish(scored_anew(store.joined(cell, questions.unit, questions.chat), questions))


def scored_anew(outcome: Outcome, questions: Questions) -> Outcome:
    """The outcome, and where it is kept from before what is right changed, with scores by what is right now."""

    def now(sample: dict[str, Any]) -> dict[str, Any]:
        index, right = sample["index"], questions.expected(sample["index"])
        if sample.get("answer") == right:
            return sample
        return {**sample, "answer": right, "score": float(questions.score(index, sample["text"]))}

    samples = list(map(now, outcome.samples))
    return outcome if samples == outcome.samples else replace(outcome, samples=samples)


def check_consent(asked: Sequence[Questions], run_code: bool) -> None:
    """Refuse to score by running code where nobody agreed to that.

    Raises:
        SweepError: Nobody agreed; the message names the questions, and says how to agree.
    """
    for questions in asked:
        if questions.runs_code and not run_code:
            raise SweepError(
                f"{questions.name} is scored by running what the model writes, in a sandbox: "
                "agree to that with --confirm-run-unsafe-code (run_code=True)"
            )
