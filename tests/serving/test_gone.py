"""Clients that go away, read slowly or come at a bad time; rows that fail; a server that is told to end."""

import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import openai
import pytest
import torch

import dus
from dus.decoding import GenerationError, Settings
from dus.denoisers import from_callable
from dus.serving.requests import Limits
from dus.serving.rows import Job, Rows

from .running import SUM, Allergic, Slow, chat, client, eventually, running, turn

LONG = {"max_tokens": 200, "extra_body": {"planner": "confidence(per_step=1)", "eos": "ignore"}}


def sent(server, buffer=65536, **body):
    """A connection on which a request was sent and nothing read."""
    address = urlsplit(server.url)
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    link.connect((address.hostname, address.port))
    messages = [{"role": "user", "content": SUM}]
    data = json.dumps({"model": "tiny", "messages": messages, **body}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
    link.sendall(f"{head}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    return link


def count(server, outcome):
    name = "dus_requests_total"
    labels = {"path": "/v1/chat/completions", "outcome": outcome}
    return server.metrics.registry.get_sample_value(name, labels) or 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_in_the_middle_of_a_block_gives_its_place_back(model, stream):
    slow = Slow(model, 0.01)
    with running(slow, Limits(rows=1, line=4)) as server:
        link = sent(server, max_tokens=200, planner="confidence(per_step=1)", stream=stream, eos="ignore")
        eventually(lambda: slow.calls > 5)
        link.close()
        before = slow.calls
        assert chat(server).choices[0].message.content
        assert slow.calls - before < 100  # of the 200 that the first one would have taken
        eventually(lambda: len(server.service.rows) == 0 == server.service.held)
        eventually(lambda: count(server, "cancelled") == 1)


def test_a_client_that_reads_slowly_holds_up_nobody(model):
    with running(model, Limits(rows=4), narrow=True) as server:
        link = sent(server, 4096, max_tokens=128, stream=True, stream_steps=True, block_length=4, eos="ignore", n=3)
        link.settimeout(30)
        got = link.recv(500)
        assert chat(server).choices[0].message.content
        eventually(lambda: server.service.held == 0)  # decoded, though hardly anything was read
        assert count(server, "ok") == 1
        while b"[DONE]" not in got[-1000:]:
            part = link.recv(65536)
            assert part, got[-200:]
            got += part
        assert got.count(b'"finish_reason":"length"') == 3
        assert len(got) > 100_000
        link.close()


def test_a_full_line_is_told_and_empties(model):
    slow = Slow(model)
    with running(slow, Limits(rows=1, line=2)) as server:
        slow.open.clear()
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(chat, server) for _ in range(3)]
            eventually(lambda: server.service.held == 3)
            with pytest.raises(openai.RateLimitError, match="room for 3") as raised:
                chat(server)
            assert int(raised.value.response.headers["retry-after"]) >= 1
            assert raised.value.body["type"] == "rate_limit_error"
            slow.open.set()
            assert len({one.result().choices[0].message.content for one in waiting}) == 1
        assert chat(server).choices
        assert (count(server, "overloaded"), count(server, "ok")) == (1, 4)


def test_what_takes_too_long_is_ended(model):
    with running(Slow(model, 0.05), Limits(rows=1, seconds=0.5)) as server:
        with pytest.raises(openai.InternalServerError, match=r"longer than the limit of 0\.5 s") as raised:
            chat(server, **LONG)
        assert raised.value.status_code == 504
        with pytest.raises(openai.APIError, match="longer than the limit"):
            list(chat(server, stream=True, **LONG))
        eventually(lambda: count(server, "timeout") == 2)
        assert chat(server, max_tokens=4).choices


@pytest.mark.parametrize("nan", [True, False])
def test_a_row_that_fails_takes_no_other_with_it(model, nan):
    poison = 77
    prompts = [model.tokenizer(turn(model, SUM.replace("5", str(n))))["input_ids"] for n in range(2, 8)]
    assert all(poison not in ids for ids in prompts)
    with running(Allergic(model, poison, nan), Limits(rows=8)) as server:

        def asked(ids):
            return client(server).completions.create(model="tiny", prompt=ids, max_tokens=32)

        with ThreadPoolExecutor(8) as pool:
            good = [pool.submit(asked, ids) for ids in prompts]
            bad = [pool.submit(asked, [*prompts[0], poison]) for _ in range(2)]
            texts = [one.result().choices[0].text for one in good]
            for one in bad:
                with pytest.raises(openai.InternalServerError, match="NaN" if nan else "a kernel failed"):
                    one.result()
        alone = [dus.generate(model, SUM.replace("5", str(n)), max_new_tokens=32).text[0] for n in range(2, 8)]
        assert texts == alone
        assert chat(server).choices


def test_a_bug_in_the_engine_thread_is_told_and_nobody_waits(model, monkeypatch):
    slow = Slow(model, 0.05)
    with running(slow) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(chat, server, **LONG)
        eventually(lambda: slow.calls > 2)
        monkeypatch.setattr(server.service.rows, "_told", lambda *events: 1 / 0)
        with pytest.raises(openai.InternalServerError, match="division by zero"):
            waiting.result()
        with pytest.raises(openai.InternalServerError, match="the engine has stopped") as raised:
            chat(server)
        assert raised.value.status_code == 503
        health = http.client.HTTPConnection(urlsplit(server.url).netloc)
        health.request("GET", "/health")
        assert health.getresponse().status == 503


def test_nothing_of_a_request_is_kept_when_it_is_answered(model, monkeypatch):
    kept = weakref.WeakSet()
    made = Job.__init__

    def remembered(self, *given, **named):
        made(self, *given, **named)
        kept.add(self)

    monkeypatch.setattr(Job, "__init__", remembered)
    with running(model) as server:
        gc.disable()
        try:
            for stream in (False, True):
                answer = chat(server, stream=stream, n=2)
                assert list(answer) if stream else answer
                eventually(lambda: len(kept) <= 1)  # what the engine's thread held last
        finally:
            gc.enable()


def test_a_body_that_never_comes_is_not_waited_for(model):
    with running(model, Limits(seconds=0.3)) as server:
        address = urlsplit(server.url)
        link = socket.create_connection((address.hostname, address.port), timeout=10)
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99"
        link.sendall(f"{head}\r\n\r\n{{".encode())
        assert b" 408 " in link.recv(1000)
        link.close()


def test_sigterm_finishes_what_runs_and_refuses_the_rest(tmp_path):
    code = "import sys; from dus.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--rows", "1", "--dtype", "float32"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        address = urlsplit(process.stdout.readline().split(" at ")[1].strip())
        links = [http.client.HTTPConnection(address.hostname, address.port, timeout=60) for _ in range(2)]
        more = {"planner": "confidence(per_step=1)", "eos": "ignore", "max_tokens": 120}
        messages = [{"role": "user", "content": SUM}]
        body = json.dumps({"model": "bundled", "messages": messages, **more})
        for link in links:
            link.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        answers = [link.getresponse() for link in links]
        assert [answer.status for answer in answers] == [200, 503]
        assert json.loads(answers[0].read())["usage"]["nfe"] == 120
        assert json.loads(answers[1].read())["error"]["message"] == "the server is shutting down"
        with pytest.raises(ConnectionError):
            socket.create_connection((address.hostname, address.port), timeout=5)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_device_that_has_failed_is_not_asked_again():
    def broken(canvas):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    rows = Rows(from_callable(broken, mask_token_id=0, vocab_size=5), places=2)
    for _ in range(2):
        rows.add(Job(torch.tensor([2, 3]), Settings(max_new_tokens=4)))
    with pytest.raises(GenerationError, match="has to be started again: CUDA error"):
        rows.turn()
