"""Bodies of every wrong form, keys, origins, limits, counts, and the document that describes it all."""

import json
import random
import socket

import httpx2 as httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dus.cli import main
from dus.serving.requests import Limits

from .running import SUM, chat, client, running

GOOD = {
    "/v1/chat/completions": {"model": "tiny", "messages": [{"role": "user", "content": SUM}], "max_tokens": 4},
    "/v1/completions": {"model": "tiny", "prompt": SUM, "max_tokens": 4},
}
WRONG = [None, True, -1, 0.5, 1e400, 10**400, "", "\ud800", "x" * 5000, [], [[]], [None], {}, {"a": []}, [[[1]]]]
JSON = {"Content-Type": "application/json"}


def malformed(seed=0):
    """Two hundred bodies that are no request, or hardly one."""
    rng = random.Random(seed)
    raw = [b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"\x00"]
    raw += [b'{"model":"tiny","prompt":"x","max_tokens":' + b"9" * 5000 + b"}", b'{"model":"tiny"}' * 2]
    bodies = [(path, body) for path in GOOD for body in raw]
    while len(bodies) < 220:
        path = rng.choice(list(GOOD))
        body = dict(GOOD[path])
        for _ in range(rng.randint(1, 2)):
            fields = [*body, "n", "stop", "temperature", "top_p", "seed", "planner", "block_length", "suffix", "stream"]
            fields += ["logprobs", "stream_options", "suppress_tokens", "cfg_scale", "eos", "tools", "who"]
            body[rng.choice(fields)] = rng.choice(WRONG)
        if rng.random() < 0.2:
            body.pop(rng.choice(list(body)))
        text = json.dumps(body)
        bodies.append((path, text[: rng.randint(1, len(text))] if rng.random() < 0.2 else text))
    return bodies


def test_malformed_bodies_are_refused_in_openais_shape_and_harm_nobody(server):
    statuses = []
    with httpx.Client(base_url=server.url, timeout=60) as web:
        for path, body in malformed():
            answer = web.post(path, content=body, headers=JSON)
            statuses.append(answer.status_code)
            assert answer.status_code in (200, 400, 404), (body[:300], answer.text)
            if answer.status_code != 200:
                error = answer.json()["error"]
                assert set(error) == {"message", "type", "param", "code"}
                assert 0 < len(error["message"]) < 1500
    assert statuses.count(200) < 60
    assert chat(server).choices[0].message.content


@pytest.mark.parametrize("planner", ["confidence(steps=999999999)", "dus(base=1000000007)", "eb(gamma=1e300)"])
@pytest.mark.parametrize("block_length", [1, 10**12, "auto(bits=1e300, shortest=4096, longest=4096)"])
def test_huge_numbers_cost_nothing(server, planner, block_length):
    body = {**GOOD["/v1/chat/completions"], "planner": planner, "block_length": block_length}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=10)
    assert answer.status_code in (200, 400), answer.text
    assert answer.status_code == 400 or answer.json()["usage"]["nfe"] <= 4


def test_a_body_and_a_prompt_have_a_size(model):
    with running(model, Limits(body=2000, length=100)) as server, httpx.Client(base_url=server.url) as web:
        answer = web.post("/v1/completions", content=b"x" * 2001, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["message"]) == (413, "a request has at most 2000 bytes")
        answer = web.post("/v1/completions", content=iter([b"x" * 1500] * 2), headers=JSON)
        assert answer.status_code == 413
        with pytest.raises(openai.BadRequestError, match="exceed the model's context of 100"):
            chat(server, SUM * 5)
        assert client(server).models.list().data[0].max_length == 100


def test_a_key_is_asked_for_where_there_is_one(model):
    with running(model, key="a secret") as server:
        for wrong in ("another", "a secre", "a secrets"):
            with pytest.raises(openai.AuthenticationError, match="a key is needed"):
                client(server, wrong).models.list()
        assert client(server, "a secret").models.list().data
        with httpx.Client(base_url=server.url) as web:
            assert web.get("/metrics").status_code == 401
            assert web.get("/health").json() == {"status": "ok"}
            answer = web.post("/v1/completions", headers={"Authorization": "Bearer ÿ".encode("latin-1")})
            assert answer.status_code == 401


def test_other_origins_may_ask_only_where_they_are_named(model):
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with running(model) as server:
        answer = httpx.options(f"{server.url}/v1/completions", headers=asks)
        assert "access-control-allow-origin" not in answer.headers
        answer = httpx.post(f"{server.url}/v1/completions", content=b"{}", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 400  # what a page of another origin may send unasked is no request
    with running(model, origins=("https://a.example",), key="k") as server:
        answer = httpx.options(f"{server.url}/v1/completions", headers=asks)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        other = httpx.options(f"{server.url}/v1/completions", headers={**asks, "Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


def test_metrics_count_what_happened(model):
    with running(model) as server:
        found = chat(server, n=3, extra_body={"eos": "ignore"})
        with pytest.raises(openai.BadRequestError):
            chat(server, n=-1)
        text = httpx.get(f"{server.url}/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert float(lines['dus_requests_total{outcome="ok",path="/v1/chat/completions"}']) == 1
        assert float(lines['dus_requests_total{outcome="invalid",path="/v1/chat/completions"}']) == 1
        assert float(lines["dus_tokens_total"]) == found.usage.completion_tokens == 96
        assert float(lines["dus_tokens_per_call_sum"]) == pytest.approx(3 * 96 / found.usage.nfe)
        assert float(lines["dus_denoiser_calls_total"]) == found.usage.nfe / 3
        assert float(lines["dus_rows_decoding"]) == float(lines["dus_rows_waiting"]) == 0
        assert float(lines["dus_first_block_seconds_count"]) == float(lines["dus_token_seconds_count"]) == 3


def test_schedules_are_told(server):
    with httpx.Client(base_url=server.url) as web:

        def schedule(**query):
            return web.get("/v1/schedule", params=query)

        assert schedule(planner="dus", block_length=8).json()["steps"] == [[0, 4], [2, 6], [1, 3, 5, 7]]
        assert schedule(planner="cb(tau=0.9)").json()["steps"] is None
        assert schedule(planner="levels(file='/etc/passwd')").status_code == 400
        assert schedule(block_length=257).status_code == 400


def test_nothing_that_the_document_allows_breaks_the_server(server):
    described = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/models", "/health"} <= {each.path for each in operations}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(*(each.as_strategy() for each in operations)))
    def check(case):
        answer = case.call(timeout=30)
        case.validate_response(answer, checks=[schemathesis.checks.not_a_server_error])

    check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
        (["--replicas", "2"], "or ray, which takes --replicas"),
        (["--engine", "ray", "--replicas", "2", "--autoscaling", "max_replicas=2"], "leave one out"),
        (["--engine", "ray", "--autoscaling", "max_replicas=many"], "takes names and numbers"),
        (["--api-key", ""], "printable ASCII"),
        (["--planner", "duss"], "did you mean 'dus'"),
        (["--cache", "all"], "known are auto, none"),
        (["no/such/folder"], "no/such/folder"),
    ],
)
def test_the_command_refuses_in_a_sentence(options, said, capsys):
    assert main(["serve", "--port", "0", *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "no/such/folder", "--port", str(taken.getsockname()[1])]) == 2
    assert "--port 0 takes a free one" in capsys.readouterr().err
