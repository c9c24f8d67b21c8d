"""Sweeps lose nothing, decode nothing twice, and say what `generate` says, whoever decodes in whatever order."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dus.decoding import generate
from dus.evaluation.cells import SweepError, grid
from dus.evaluation.engine import Local, decode, shards
from dus.evaluation.spacing import spacing
from dus.evaluation.store import Store
from dus.evaluation.sweep import sweep

from .tiny import Asked, Counting, asked, swept, tiny

PLANNERS = ["dus", "eb(gamma=1)", "random(like=dus)", "remdm(steps=4)"]


def samples(found):
    return {cell: outcome.samples for cell, outcome in found.items()}


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_cell_holds_what_generate_gives_for_the_whole_list(tmp_path, temperature):
    """With draws counted in the order of decoding: the prompts by length."""
    _, found = swept(tmp_path, *PLANNERS, temperature=temperature, seeds=[5])
    questions = asked()
    order = sorted(range(len(questions.prompts)), key=lambda index: len(questions.prompts[index]))
    for cell, outcome in found.items():
        whole = generate(
            tiny(),
            [questions.prompts[index] for index in order],
            planner=cell.rule,
            block_length=cell.block_length,
            max_new_tokens=12,
            temperature=temperature,
            seed=cell.seed,
            chat=False,
        )
        for place, index in enumerate(order):
            sample = outcome.samples[index]
            assert sample["index"] == index
            assert sample["prompt"] == questions.prompts[index]
            assert sample["text"] == whole.text[place]
            assert sample["score"] == questions.score(index, sample["text"])
            assert (sample["nfe"], sample["useful"]) == (whole.nfe[place], whole.useful[place])
            counts = spacing(whole.trace.step[place], cell.block_length)
            assert (sample["distance"], sample["pairs"]) == (counts.distance[0], counts.pairs[0])
            assert (sample["isolated"], sample["unmasked"]) == (counts.isolated[0], counts.unmasked[0])


def test_shards_hold_every_prompt_once_those_of_similar_length_together():
    questions = asked()
    (cell,) = grid([questions], planners=["dus"], block_lengths=[4], batch_size=4)
    parts = list(shards(cell, questions))
    assert sorted(index for part in parts for index in part.indices) == list(range(11))
    assert [len(part.indices) for part in parts] == [4, 4, 3]
    lengths = [len(prompt) for part in parts for prompt in part.prompts]
    assert lengths == sorted(lengths)


def test_prompts_that_are_too_long_lose_their_beginnings_and_say_so():
    model = tiny()
    model.max_length = 15
    questions = asked()
    cell = next(iter(grid([questions], planners=["dus"], block_lengths=[4], batch_size=11)))
    (shard,) = shards(cell, questions)
    assert {len(prompt) > 3 for prompt in shard.prompts} == {True, False}
    with pytest.warns(UserWarning, match="a context of 15 tokens holds 12 new ones and 3 of a prompt"):
        found = decode(model, shard)
    cut = replace(shard, prompts=tuple(prompt[-3:] for prompt in shard.prompts))
    assert [answer.text for answer in found.answers] == [answer.text for answer in decode(model, cut).answers]


class Backwards:
    """An engine that is done with the last shard first."""

    def answers(self, waiting):
        yield from Local(tiny).answers(reversed(list(waiting)))


def test_the_order_of_decoding_does_not_matter(tmp_path):
    _, straight = swept(tmp_path / "a", *PLANNERS, temperature=0.8)
    _, backwards = swept(tmp_path / "b", *PLANNERS, temperature=0.8, engine=Backwards())
    assert samples(straight) == samples(backwards)


@pytest.mark.parametrize("until", range(7))
def test_a_sweep_goes_on_where_it_stopped(tmp_path, until):
    _, whole = swept(tmp_path / "whole")
    first, second = Counting(until), Counting()
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path / "part", engine=first)
    _, resumed = swept(tmp_path / "part", engine=second)
    assert samples(resumed) == samples(whole)
    assert len(first.given) == until
    assert len({*first.given, *second.given}) == len(first.given) + len(second.given) == 4 * 3
    assert not list((tmp_path / "part" / "shards").iterdir())


def test_a_finished_sweep_loads_no_model(tmp_path):
    swept(tmp_path)
    _, found = swept(tmp_path, engine=Local(lambda: pytest.fail("the model was loaded")))
    assert len(found) == 4


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import tiny
from dus.evaluation.engine import Local

class Killed(tiny.Counting):
    def answers(self, shards):
        for shard in shards:
            if len(self.given) == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            self.given.append(shard.number)
            yield from self.engine.answers([shard])

tiny.swept(Path({folder!r}), engine=Killed())
"""


def test_a_killed_process_loses_nothing(tmp_path):
    """SIGKILL in the third cell: two cells and a shard are on disk, and only the rest is decoded again."""
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "killed"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed" / "cells").iterdir()}
    assert len(before) == 2
    rest = Counting()
    _, resumed = swept(tmp_path / "killed", engine=rest)
    _, whole = swept(tmp_path / "whole")
    assert samples(resumed) == samples(whole)
    assert len(rest.given) == 4 * 3 - 7
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_kill_while_a_cell_is_put_together(tmp_path, monkeypatch):
    """All shards are there and the cell is not; or the cell is there and its shards are not yet gone."""
    with monkeypatch.context() as patch:
        patch.setattr(Store, "drop_shards", lambda self, cell: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            swept(tmp_path)
    finished = list((tmp_path / "cells").iterdir())
    assert len(finished) == 1
    assert len(list((tmp_path / "shards").iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", lambda self, outcome: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            swept(tmp_path)
    engine = Counting()
    _, found = swept(tmp_path, engine=engine)
    assert len(found) == 4
    assert len(engine.given) == 4 * 3 - 3 - 3
    assert not list((tmp_path / "shards").iterdir())


def test_an_unfinished_file_is_not_taken_for_a_result(tmp_path):
    (cell,) = grid([asked()], planners=["dus"], block_lengths=[4], batch_size=4)
    for name in (f"cells/{cell.name}.jsonl.partial", f"shards/{cell.name}-0001.json.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"cell":')
    store, _ = swept(tmp_path, "dus", block_lengths=[4])
    assert [outcome.cell for outcome in store.outcomes()] == [cell]


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [],
        lambda lines: lines[:-1],
        lambda lines: [*lines[:-1], lines[-1][:-9]],
        lambda lines: [lines[0], *reversed(lines[1:])],
        lambda lines: [lines[0].replace('"dus"', '"eb"'), *lines[1:]],
        lambda lines: [lines[0].replace('"planner"', '"planer"'), *lines[1:]],
        lambda lines: [*lines[:-1], lines[-1].replace('"nfe"', '"calls"')],
        lambda lines: [*lines[:-1], lines[-1].replace('"score": ', '"score": "x", "was": ')],
    ],
    ids=["empty", "short", "torn", "order", "other", "field", "count", "score"],
)
def test_a_damaged_cell_is_named(tmp_path, damage):
    store, _ = swept(tmp_path, "dus", block_lengths=[4])
    path = next(store.cells.iterdir())
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    with pytest.raises(SweepError, match=f"{path.name} is damaged .*delete it"):
        swept(tmp_path, "dus", block_lengths=[4])
    path.unlink()
    assert len(swept(tmp_path, "dus", block_lengths=[4])[1]) == 1


def test_a_damaged_shard_is_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, engine=Counting(2))
    path = sorted((tmp_path / "shards").iterdir())[0]
    path.write_text('{"seconds": 1}')
    with pytest.raises(SweepError, match=f"{path.name} is damaged"):
        swept(tmp_path)


@pytest.mark.parametrize("record", ["", "[]", '{"model": {}}', '{"model": 1, "sessions": []}'])
def test_a_damaged_record_is_named(tmp_path, record):
    (tmp_path / "record.json").write_text(record)
    with pytest.raises(SweepError, match=r"record.json is damaged"):
        swept(tmp_path)


def test_a_folder_without_an_answer_is_any_models(tmp_path):
    store = Store(tmp_path)
    store.begin({"name": "a typo"}, {"command": "one"})
    store.begin({"name": "tiny"}, {"command": "two"})
    assert store.record() == {"model": {"name": "tiny"}, "sessions": [{"command": "two"}]}


def test_another_models_folder_is_refused(tmp_path):
    store, _ = swept(tmp_path, "dus")
    for model in ({"name": "other"}, {"name": "tiny", "fingerprint": "0"}):
        with pytest.raises(SweepError, match=r"another model .* name another folder"):
            store.begin(model, {})
    assert len(store.record()["sessions"]) == 1


def test_answers_of_nobody_knows_which_model_are_refused(tmp_path):
    swept(tmp_path, "dus")
    (tmp_path / "record.json").unlink()
    with pytest.raises(SweepError, match=r"answers and no record of the model: name another folder"):
        Store(tmp_path).begin({"name": "tiny"}, {})
    assert not (tmp_path / "record.json").exists()


def test_code_is_run_only_where_that_was_agreed_to(tmp_path):
    questions = asked(runs_code=True)
    cells = grid([questions], planners=["dus"], block_lengths=[4])
    with pytest.raises(SweepError, match=r"letters .*--confirm-run-unsafe-code"):
        next(sweep(Counting(0), [questions], cells, Store(tmp_path)))
    assert len(list(sweep(Local(tiny), [questions], cells, Store(tmp_path), run_code=True))) == 1


def test_every_shard_is_told(tmp_path):
    told = []
    questions = asked()
    cells = grid([questions], planners=["dus"], block_lengths=[4, 8], batch_size=4)
    list(sweep(Local(tiny), [questions], cells, Store(tmp_path), tell=told.append))
    assert [(shard.cell, shard.number) for shard in told] == [(cell, number) for cell in cells for number in range(3)]


def test_the_file_of_a_cell_is_lines_of_json(tmp_path):
    store, found = swept(tmp_path, "dus", block_lengths=[4])
    ((cell, outcome),) = found.items()
    head, *lines = map(json.loads, (store.cells / f"{cell.name}.jsonl").read_text().splitlines())
    assert (head["cell"]["planner"], head["unit"], len(head["seconds"])) == ("dus", "right", 3)
    assert lines == outcome.samples
    assert replace(cell, seed=1).name != cell.name


@dataclass(frozen=True)
class Solved(Asked):
    """The same questions with a solution each; an answer is right that begins like it."""

    solutions: tuple[str, ...] = ()

    def score(self, index, text):
        return float(text[:1] == self.solutions[index])

    def expected(self, index):
        return self.solutions[index]


@pytest.mark.parametrize("until", [None, 2])
def test_answers_are_scored_anew_where_what_is_right_has_changed(tmp_path, until):
    prompts = asked().prompts
    first, second = (Solved(prompts, solutions=(letter,) * len(prompts)) for letter in "ab")
    cells = grid([first], planners=["dus"], block_lengths=[4], batch_size=4)
    assert cells == grid([second], planners=["dus"], block_lengths=[4], batch_size=4)
    store = Store(tmp_path)
    with nullcontext() if until is None else pytest.raises(KeyboardInterrupt):
        list(sweep(Counting(until), [first], cells, store))
    again = Counting()
    (found,) = sweep(again, [second], cells, store)
    assert len(again.given) == (0 if until is None else 1)
    for sample in found.samples:
        assert sample["score"] == float(sample["text"][:1] == "b")
        assert sample["answer"] == "b"
    assert [sample["score"] for sample in Store(tmp_path).read(cells[0]).samples] == [
        sample["score"] for sample in found.samples
    ]


HOLDING = """
import sys
from pathlib import Path
from dus.evaluation.store import Store

with Store(Path(sys.argv[1])).alone():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of this kind")
def test_a_second_sweep_of_a_folder_is_told_which_process_the_first_one_is(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == b"ready\n"
        named = rf"being filled by process {other.pid} on .*: wait for it, or name"
        with pytest.raises(SweepError, match=named), Store(tmp_path).alone():
            pass
        with Store(tmp_path / "another").alone():
            pass
        other.kill()
        other.wait()
        with Store(tmp_path).alone():  # nothing is left behind by a process that was killed
            pass
