"""What the server does under load: python benchmarks/load.py --page docs/results/load.md.

It starts servers of the bundled model on this machine's loopback address, asks them a bounded number of things, and
compares every answer with that of `dus.generate` to the same row alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import torch

import dus
from dus.bench.machine import machine
from dus.cli.answering import here, written
from dus.decoding import Settings
from dus.evaluation.tasks import get, held_out
from dus.serving.batch import Batch
from dus.serving.shards import Shards
from dus.serving.source import Asked, Piece, Shard
from dus.writing.files import write
from load_page import page

PLANNERS = ("dus", "confidence(like=dus)", "cb(tau=0.9)", "eb(gamma=1)")
LENGTHS = (8, 16, 32, 64)
CACHE = "block"
KINDS = (("arithmetic", 1), ("arithmetic", 2), ("instructions", 1), ("code", 1))
LONGEST = 1500
"""Seconds after which a part is given up."""


@dataclass(frozen=True)
class Row:
    """What is asked for."""

    prompt: str
    planner: str
    max_tokens: int

    @property
    def body(self) -> dict[str, Any]:
        """The request."""
        messages = [{"role": "user", "content": self.prompt}]
        return {"model": "bundled", "messages": messages, "max_tokens": self.max_tokens, "planner": self.planner}


@dataclass
class Tally:
    """What came of some requests."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    memory: dict[int, int] = field(default_factory=dict)


class Served:
    """A server in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.command = ["serve", "--port", "0", "--dtype", "float32", *options]
        call = "import sys; from dus.cli import main; sys.exit(main())"
        self.process = subprocess.Popen([sys.executable, "-c", call, *self.command], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        told = re.search(r"http://127\.0\.0\.1:\d+", self.process.stdout.readline())
        if told is None:
            raise SystemExit("the server did not start on loopback")
        self.url = told[0]

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor(self) -> dict[str, float]:
        """Seconds of processor time so far: of the engine's thread, of the event loop's, and of all threads."""
        found = {"engine": 0.0, "loop": 0.0, "all": 0.0}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name, rest = re.search(r"\((.*)\) (.*)", (task / "stat").read_text(), re.DOTALL).groups()  # type: ignore[union-attr]
            ticks = sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
            found["all"] += ticks
            if name == "dus-engine":
                found["engine"] += ticks
            elif int(task.name) == self.process.pid:
                found["loop"] += ticks
        return found


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """A server, while the context lasts."""
    server = Served(*options)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)


def questions(count: int) -> list[str]:
    """Held-out prompts of all kinds, in turns."""
    lists = [held_out(get(task), level, count).prompts for task, level in KINDS]
    return [str(prompt) for turn in zip(*lists, strict=False) for prompt in turn][:count]


def rows(count: int, seed: int = 0) -> list[Row]:
    """Different rows, their prompts, planners and lengths mixed."""
    rng = random.Random(seed)
    return [Row(prompt, rng.choice(PLANNERS), rng.choice(LENGTHS)) for prompt in questions(count)]


def alone(model: dus.Denoiser, row: Row) -> str:
    """The answer to a row, decoded with nothing beside it."""
    asked = {"planner": row.planner, "max_new_tokens": row.max_tokens, "cache": CACHE, "scores": False}
    return dus.generate(model, row.prompt, **asked).text[0]


async def ask(web: httpx.AsyncClient, row: Row, kind: str) -> tuple[str, str]:
    """What came of a request, whole, streamed or cancelled halfway, and its text."""
    body = row.body if kind == "whole" else {**row.body, "stream": True, "stream_steps": kind == "cancelled"}
    if kind == "whole":
        answer = await web.post("/v1/chat/completions", json=body)
        if answer.status_code != 200:
            return str(answer.status_code), ""
        return "ok", answer.json()["choices"][0]["message"]["content"]
    text, finished = "", False
    async with web.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            return str(answer.status_code), ""
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                finished = True
            elif line.startswith("data: "):
                chunk = json.loads(line[6:])
                if kind == "cancelled" and "step" in chunk:
                    return "cancelled", ""
                if "error" in chunk:
                    return "error", ""
                text += chunk["choices"][0]["delta"].get("content", "")
    return ("ok" if finished else "lost"), text


async def load(server: Served, asked: list[tuple[Row, str]], clients: int, right: dict[Row, str] | None) -> Tally:
    """Ask everything, by so many clients at a time."""
    tally, left = Tally(), iter(asked)
    limits = httpx.Limits(max_connections=clients)

    async def client(web: httpx.AsyncClient) -> None:
        for row, kind in left:
            began = time.perf_counter()
            try:
                outcome, text = await ask(web, row, kind)
            except httpx.HTTPError as error:
                outcome, text = type(error).__name__, ""
            if outcome == "ok":
                tally.seconds.append(time.perf_counter() - began)
                if right is not None and text != right[row]:
                    outcome = "wrong"
            tally.outcomes[outcome] += 1
            if tally.outcomes.total() in (1000, len(asked)):
                tally.memory[tally.outcomes.total()] = server.memory

    async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits) as web:
        await asyncio.wait_for(asyncio.gather(*(client(web) for _ in range(clients))), LONGEST)
    return tally


def mixed(model: dus.Denoiser, count: int, clients: int, different: int) -> dict[str, Any]:
    """The main run: everything mixed, every answer checked."""
    some, rng = rows(different), random.Random(1)
    right = {row: alone(model, row) for row in some}
    kinds = ["cancelled" if n % 20 == 7 else "streamed" if n % 10 == 3 else "whole" for n in range(count)]
    asked = [(rng.choice(some), kind) for kind in kinds]
    with serving("--rows", "32", "--cache", CACHE) as server:
        asyncio.run(load(server, asked[:32], clients, None))
        began = time.perf_counter()
        tally = asyncio.run(load(server, asked, clients, right))
        seconds = time.perf_counter() - began
        print(tally.outcomes, tally.memory, f"{seconds:.0f} s", file=sys.stderr)
        held = httpx.get(f"{server.url}/metrics").text
    left = float(re.search(r"^dus_rows_decoding (\S+)", held, re.MULTILINE)[1])  # type: ignore[index]
    steady = tally.memory[count] / tally.memory.get(1000, tally.memory[count])
    return {
        "tally": tally,
        "seconds": seconds,
        "growth": steady - 1,
        "left": left,
        "different": different,
        "planners": PLANNERS,
    }


def beside_batch(model: Any, count: int, clients: int) -> dict[str, Any]:
    """The same prompts by `dus batch` and by the server, and what HTTP takes of the server's processor time."""
    some = [Row(prompt, "dus", 64) for prompt in questions(count)]
    prompts = [Asked(number, {"id": number}, row.prompt) for number, row in enumerate(some)]
    shard = Shard(0, 0, (Piece("", 0, count),))

    def by_batch() -> float:
        batch = Batch(model, Settings(max_new_tokens=64, cache=CACHE, scores=False), rows=32)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            store = Shards(Path(folder))
            written(here([shard], lambda _: prompts, store, lambda: batch), store, [shard], [shard])
            return time.perf_counter() - began

    by_batch_seconds, by_server_seconds, shares = [], [], []
    with serving("--rows", "32", "--cache", CACHE) as server:
        asyncio.run(load(server, [(row, "whole") for row in some[:64]], clients, None))
        for _ in range(3):
            by_batch_seconds.append(by_batch())
            before, began = server.processor(), time.perf_counter()
            tally = asyncio.run(load(server, [(row, "whole") for row in some], clients, None))
            by_server_seconds.append(time.perf_counter() - began)
            after = server.processor()
            shares.append((after["loop"] - before["loop"]) / (after["all"] - before["all"]))
            assert tally.outcomes == {"ok": count}, tally.outcomes
    return {
        "batch": count / statistics.median(by_batch_seconds),
        "server": count / statistics.median(by_server_seconds),
        "share": statistics.median(shares),
        "count": count,
    }


def overload(seconds: float) -> dict[str, Any]:
    """Ten times as many clients as there is room for, who come again at once when they are refused."""
    row = rows(1)[0]
    with serving("--rows", "8", "--line", "8", "--cache", CACHE) as server:
        asyncio.run(load(server, [(row, "whole")] * 64, 16, None))
        before = server.memory
        outcomes: Counter[str] = Counter()
        until = time.perf_counter() + seconds

        async def press() -> None:
            limits = httpx.Limits(max_connections=160)

            async def client(web: httpx.AsyncClient) -> None:
                while time.perf_counter() < until:
                    outcomes[(await ask(web, row, "whole"))[0]] += 1

            async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as web:
                await asyncio.wait_for(asyncio.gather(*(client(web) for _ in range(160))), LONGEST)

        asyncio.run(press())
        began = time.perf_counter()
        tally = asyncio.run(load(server, [(row, "whole")], 1, None))
        recovered = time.perf_counter() - began
        assert tally.outcomes == {"ok": 1}, tally.outcomes
        return {"outcomes": outcomes, "growth": server.memory / before - 1, "recovered": recovered, "seconds": seconds}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--different", type=int, default=200)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    model = dus.load(dtype="float32")
    found = {
        "clients": given.clients,
        "mixed": mixed(model, given.requests, given.clients, given.different),
        "overload": overload(given.seconds),
        "beside": beside_batch(model, given.batch, given.clients),
    }
    text = page(found, machine(model), " ".join(["python", "benchmarks/load.py", *sys.argv[1:]]))
    print(text)
    if given.page:
        write(given.page, text)


if __name__ == "__main__":
    main()
