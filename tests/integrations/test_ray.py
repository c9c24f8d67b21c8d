"""A Ray cluster answers what one process answers, to the bit, also where a worker is killed."""

import os
import signal
from dataclasses import asdict

import pytest
import torch

from dus.denoisers import DenoiserError, load
from dus.evaluation.cells import grid
from dus.evaluation.engine import Local, shards
from dus.evaluation.store import Store
from dus.evaluation.sweep import sweep
from dus.evaluation.tasks import get, held_out
from dus.integrations.ray import LIVES, RayEngine, RayError, _result

ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """As the workers have: a sum over two threads may round otherwise."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def questions():
    return held_out(get("arithmetic"), 1, 6)


@pytest.fixture(scope="module")
def cells(questions):
    settings = {"block_lengths": [8], "max_new_tokens": 16, "batch_size": 2}
    return grid([questions], planners=["confidence(like=dus)", "random(like=dus)"], **settings)


def samples(engine, questions, cells, folder):
    return {outcome.cell: outcome.samples for outcome in sweep(engine, [questions], cells, Store(folder))}


def test_workers_answer_what_this_process_answers_and_a_killed_ones_shard_is_done_again(questions, cells, tmp_path):
    marker = str(tmp_path / "killed")

    def load_mortal():
        """The bundled model, whose third call kills the process; once."""
        model = load()
        calls, answer = iter(range(10**9)), model.logits

        def logits(*arguments, **named):
            if next(calls) == 2 and not os.path.exists(marker):
                with open(marker, "w", encoding="utf-8") as file:
                    file.write(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return answer(*arguments, **named)

        model.logits = logits
        return model

    here = samples(Local(load), questions, cells, tmp_path / "local")
    with RayEngine(load_mortal, workers=2) as engine:
        there = samples(engine, questions, cells, tmp_path / "ray")
    assert there == here
    with open(marker, encoding="utf-8") as file:
        assert int(file.read()) != os.getpid()
    assert not ray.is_initialized()


def test_a_workers_error_is_the_sweeps(questions, cells, monkeypatch):
    def failed(reference):
        cause = DenoiserError("There is no folder here.")
        raise ray.exceptions.RayTaskError("answer", "a traceback", cause).as_instanceof_cause()

    monkeypatch.setattr(ray, "get", failed)
    with pytest.raises(DenoiserError, match="There is no folder here") as raised:
        _result(None, next(shards(cells[0], questions)))
    assert type(raised.value) is DenoiserError


def test_a_shard_that_kills_every_worker_is_named(questions, cells, monkeypatch):
    def dead(reference):
        raise ray.exceptions.ActorDiedError

    monkeypatch.setattr(ray, "get", dead)
    shard = list(shards(cells[0], questions))[1]
    with pytest.raises(RayError, match=rf"shard 1 of confidence\(like=dus\), blocks of 8, cost {LIVES} workers"):
        _result(None, shard)


def test_a_cluster_without_room_is_refused(monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **settings: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}])
    with pytest.raises(RayError, match="room for 4 workers, not for 5"), RayEngine(load, workers=5):
        pass
    with pytest.raises(RayError, match="room for 0 workers"), RayEngine(load, gpus=1):
        pass


def test_a_worker_has_to_fit_on_a_machine(monkeypatch):
    sizes = [(True, 3.0), (True, 3.0), (False, 8.0)]
    monkeypatch.setattr(ray, "init", lambda **settings: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": alive, "Resources": {"CPU": n}} for alive, n in sizes])
    with pytest.raises(RayError, match="room for 2 workers, not for 3"), RayEngine(load, workers=3, threads=2):
        pass


def test_a_cluster_that_was_there_before_stays(monkeypatch):
    def never(**settings):
        raise AssertionError("the cluster is the program's own")

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}])
    for name in ("init", "shutdown"):
        monkeypatch.setattr(ray, name, never)
    with pytest.raises(RayError, match="room for 4 workers, not for 5"), RayEngine(load, workers=5):
        pass


def test_a_shard_is_plain_data(questions, cells):
    """What travels to a worker holds no scorer and no model."""
    (first, *_) = shards(cells[0], questions)
    assert set(asdict(first)) == {"cell", "number", "indices", "prompts", "chat", "stop"}
