"""The server over Ray Serve: the tests of the local one, and a replica that is killed in the middle of requests."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import openai
import psutil
import pytest

import dus
from dus.cli.loading import load_model
from dus.serving.ray_serve import deployed
from dus.serving.requests import Limits
from dus.serving.service import ServingError

from .running import SUM, chat, client, eventually, running
from .test_openai import (  # noqa: F401
    api,
    test_a_conversation_is_answered_as_generate_does,
    test_a_stream_adds_up_to_the_answer_block_by_block,
    test_every_form_of_a_prompt,
    test_log_probabilities_are_those_of_the_step_that_wrote_the_token,
    test_messages_in_parts_and_turns,
    test_models_are_listed,
    test_settings_are_generates_own,
    test_steps_replay_to_the_trace,
    test_what_cannot_be_done_is_refused_in_a_sentence,
)

pytest.importorskip("ray.serve")


@pytest.fixture(scope="module")
def server():
    """Two replicas behind one front; the bound of the local tests."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    limits = Limits(rows=16, line=256, seconds=60)
    load = partial(load_model, None, dtype="float32")
    with (
        deployed(load, limits, "auto", replicas=2) as (described, line),
        running(described, limits, line=line) as server,
    ):
        yield server
    os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)


def replicas():
    """The processes of the replicas; only of this test's own cluster."""
    return [child for child in psutil.Process().children(recursive=True) if "ServeReplica" in "".join(child.cmdline())]


def test_a_client_that_goes_gives_its_rows_back(server):
    stream = chat(server, stream=True, max_tokens=400, extra_body={"planner": "confidence", "eos": "ignore"})
    next(iter(stream))
    stream.close()
    eventually(lambda: server.service.held == 0)
    assert server.service.tasks == {}


def test_a_killed_replica_loses_no_request_and_doubles_none(server, model):
    prompts = [SUM.replace("5", str(number)) for number in range(2, 12)]
    slowly = {"planner": "confidence(per_step=1)", "block_length": 8, "eos": "ignore"}
    streamed = []

    def asked(number):
        if number % 2:
            return chat(server, prompts[number], max_tokens=32, extra_body=slowly).choices[0].message.content
        chunks = chat(server, prompts[number], max_tokens=32, stream=True, extra_body={**slowly, "stream_steps": True})
        text = ""
        for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
            if getattr(chunk, "step", None):
                streamed.append((number, chunk.step["number"]))
        return text

    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(asked, number) for number in range(10)]
        eventually(lambda: len(streamed) > 10)
        victim, *others = replicas()
        assert len(others) == 1
        victim.send_signal(signal.SIGKILL)
        texts = [one.result() for one in waiting]
    settings = {"max_new_tokens": 32, "block_length": 8, "planner": "confidence(per_step=1)", "eos": "ignore"}
    assert texts == dus.generate(model, prompts, **settings).text
    assert sorted(streamed) == [(number, step) for number in range(0, 10, 2) for step in range(32)]
    eventually(lambda: server.service.held == 0)


def test_more_than_there_is_room_for_is_refused(server):
    assert server.service.capacity == 2 * 16 + 256
    with pytest.raises(openai.BadRequestError, match="288 may be here at once"):
        client(server).completions.create(model="tiny", prompt=SUM, n=289)


@pytest.mark.parametrize("wrong", [{"no_such_thing": 1}, {"min_replicas": 3, "max_replicas": 2}])
def test_settings_that_ray_has_not_are_refused(wrong):
    with pytest.raises(ServingError, match="Ray Serve"), deployed(load_model, Limits(), "auto", autoscaling=wrong):
        pass
