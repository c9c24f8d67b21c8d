"""Whatever a planner's text, a file of prompts, a config or a folder of results holds: success, or an error of ours.

A long run: `make fuzz`, or DUS_FUZZ=20000 pytest tests/cli/test_fuzz.py, so many inputs for each test.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.cli.prompts import read_prompts, to_rows
from dus.evaluation.cells import grid
from dus.evaluation.engine import Local
from dus.evaluation.report.page import page
from dus.evaluation.report.results import sections
from dus.evaluation.store import Store
from dus.evaluation.sweep import sweep
from dus.evaluation.tasks import get, held_out
from dus.lab.analysis import files
from dus.planners import registered
from dus.planners.base import Wrapper

from .conftest import TEMPLATE
from .fuzzing import COUNT, bytes_model, edited, fuzz, ours, torn, values

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


GOLDEN = sorted(path.parent for path in Path("tests/data/golden").glob("*-random-a/model.safetensors"))


@settings(fuzz, max_examples=max(COUNT // 3, 1))
@given(data=st.data())
def test_configs_of_checkpoints(data, checkpoint, tmp_path_factory):
    source = Path(data.draw(st.sampled_from([checkpoint, *map(str, GOLDEN)])))
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    folder.mkdir()
    for file in source.iterdir():
        if file.name in ("config.json", "generation_config.json") or file.name.startswith("tokenizer"):
            shutil.copy(file, folder)
        elif file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file.resolve())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_bytes(data.draw(torn(json.dumps(data.draw(edited(config, small=True))))))
    ours(dus.load, folder)
    shutil.rmtree(folder.parent)
