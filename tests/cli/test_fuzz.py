"""Whatever a planner's text, a file of prompts, a config or a folder of results holds: success, or an error of ours.

A long run: DUS_FUZZ=20000 pytest tests/cli/test_fuzz.py, so many inputs for each test.
"""

import copy
import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dus
from dus.cli.prompts import read_prompts, to_rows
from dus.denoisers import from_callable
from dus.evaluation.cells import grid
from dus.evaluation.engine import Local
from dus.evaluation.questions import held_out
from dus.evaluation.report.page import page
from dus.evaluation.report.results import sections
from dus.evaluation.store import Store
from dus.evaluation.sweep import sweep
from dus.evaluation.tasks import get
from dus.lab.analysis import files
from dus.planners import registered
from dus.planners.base import Wrapper

from .conftest import TEMPLATE, byte_tokenizer

COUNT = int(os.environ.get("DUS_FUZZ", "100"))
fuzz = settings(
    max_examples=COUNT,
    deadline=None,
    derandomize="DUS_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 1e308, float("nan"), float("inf"), "", "auto", "dus"])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def edited(draw, whole, small=False):
    """A JSON value with one to three of its parts left out, or replaced by something else."""
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        here = [whole]
        at = 0
        while True:
            part = here[at]
            keys = list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
            inner = [key for key in keys if isinstance(part[key], dict | list) and part[key]]
            if not keys:
                return draw(values)
            if at == 0 and isinstance(part, list) and len(part) == 0:
                return draw(values)
            key = draw(st.sampled_from(keys))
            if key in inner and draw(st.booleans()):
                here, at = part, key
                continue
            if draw(st.integers(0, 3)) == 0:
                del part[key]
            else:
                new = draw(values)
                huge = isinstance(new, int | float) and not isinstance(new, bool) and abs(new) > 300
                part[key] = 7 if small and huge else new
            break
    return whole


@st.composite
def torn(draw, text):
    """The bytes of a text, now and then cut, or with a few others among them."""
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data


def ours(call, *arguments, **named):
    """What a call gives; None where it refuses with an error of ours, and that says something."""
    try:
        return call(*arguments, **named)
    except ValueError as error:
        if type(error).__module__.partition(".")[0] != "dus" or not str(error).strip():
            raise
        return None


WORDS = st.sampled_from(
    [
        *registered(),
        "(",
        ")",
        "=",
        ",",
        ";",
        "|",
        "steps",
        "like",
        "order",
        "gap",
        "base",
        "file",
        "groups",
        "'",
        '"',
        "8",
    ]
)
planner_texts = st.lists(WORDS | st.text(max_size=3) | st.floats().map(str) | st.integers().map(str), max_size=12)


@fuzz
@given(planner_texts, st.sampled_from(["", " "]), st.integers(1, 40))
def test_planner_texts(words, between, block_length):
    planner = ours(dus.parse, between.join(words))
    if planner is not None:
        ours(str, planner)
        ours(planner.check, block_length, 11)
        ours(planner.num_steps, block_length)


@pytest.mark.parametrize("name", registered())
@fuzz
@given(data=st.data())
def test_planners_from_python(name, data):
    cls = registered()[name]
    base = {} if issubclass(cls, Wrapper) else vars(cls.example(8))
    base = {
        key: base.get(key, dus.DUS() if key == "inner" else 1)
        for key in cls.__init__.__annotations__.keys() - {"return"}
    }
    chosen = data.draw(st.dictionaries(st.sampled_from(sorted(base) or ["none"]), values, max_size=2))
    ours(cls, **{**base, **chosen})


LINES = [
    {"question": "a"},
    {"prompt": "Why?", "more": [1]},
    {"text": "a [MASK] b"},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]},
]


def bytes_model(template=None):
    tokenizer = byte_tokenizer(template)
    size = len(tokenizer)
    return from_callable(
        lambda canvas: torch.zeros(*canvas.shape, size), mask_token_id=1, vocab_size=size, tokenizer=tokenizer
    )


@pytest.fixture(scope="module")
def models():
    return [bytes_model(), bytes_model(TEMPLATE)]


@fuzz
@given(data=st.data())
def test_files_of_prompts(data, models, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "prompts.jsonl"
    lines = data.draw(st.lists(st.sampled_from(LINES).flatmap(edited), max_size=3))
    path.write_bytes(data.draw(torn("\n".join(map(json.dumps, lines)))))
    prompts = ours(read_prompts, str(path))
    if prompts is not None:
        ours(to_rows, data.draw(st.sampled_from(models)), prompts, chat=None, max_new_tokens=8)
    shutil.rmtree(path.parent)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two finished cells of a sweep."""
    store = Store(tmp_path_factory.mktemp("results"))
    asked = [replace(held_out(get("arithmetic"), 1, 3), chat=False)]
    cells = grid(asked, planners=["dus", "confidence"], block_lengths=[4], max_new_tokens=4, batch_size=2)
    store.begin({"name": "tiny"}, {"command": "dus eval"})
    assert len(list(sweep(Local(bytes_model), asked, cells, store))) == 2
    return store.folder


@fuzz
@given(data=st.data())
def test_folders_of_results(data, results, tmp_path_factory):
    folder = shutil.copytree(results, tmp_path_factory.mktemp("fuzz") / "results")
    chosen = data.draw(st.sampled_from(sorted(path.relative_to(folder) for path in folder.rglob("*.json*"))))
    lines = (folder / chosen).read_text().splitlines()
    lines = ["".join(lines)] if chosen.suffix == ".json" else lines
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(data.draw(edited(json.loads(lines[number]))))
    (folder / chosen).write_bytes(data.draw(torn("\n".join(lines))))
    store = Store(folder)
    record, found = ours(store.record), ours(lambda: sections(store.outcomes()))
    if record and found:
        ours(page, found, record, ["picture"] * len(found), "dus report", paper=False)
    ours(store.begin, {"name": "tiny"}, {"command": "dus eval"})
    shutil.rmtree(folder.parent)


TRACE = {
    "prompt": "a",
    "planner": "dus",
    "block_length": 4,
    "seed": 0,
    "answers": [{"text": "ab", "nfe": 2, "tpf": 1.0, "raw_tpf": 1.0, "tokens": [1, 2], "step": [0, 1]}],
}


@fuzz
@given(data=st.data())
def test_files_of_traces(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "trace.json"
    path.write_bytes(data.draw(torn(json.dumps(data.draw(edited(TRACE))))))
    ours(files.load, path)
    shutil.rmtree(path.parent)


@settings(fuzz, max_examples=max(COUNT // 3, 1))
@given(data=st.data())
def test_configs_of_checkpoints(data, checkpoint, tmp_path_factory):
    folder = shutil.copytree(checkpoint, tmp_path_factory.mktemp("fuzz") / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_bytes(data.draw(torn(json.dumps(data.draw(edited(config, small=True))))))
    ours(dus.load, folder)
    shutil.rmtree(folder.parent)
