"""Batches: every prompt is answered once, in order, as `dus.generate` answers it, also where a run is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dus
from dus.cli import main
from dus.serving.shards import Shards
from dus.serving.source import BatchError, files_of, scan

from .running import SUM

FAST = ["--max-new-tokens", "16", "--block-length", "8", "--dtype", "float32", "--rows", "4"]


def questions(count):
    return [SUM.replace("5", str(n + 2)) for n in range(count)]


def lines(folder):
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("part-*.jsonl")))
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


@pytest.fixture
def asked(tmp_path):
    """A folder with two files of JSON lines and one of Parquet: twelve prompts, three of which are none."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = questions(12)
    first = [
        {"id": "a", "question": texts[0]},
        {"prompt": texts[1]},
        {"messages": [{"role": "user", "content": texts[2]}]},
    ]
    (folder / "1.jsonl").write_text("\n\n".join(map(json.dumps, first)) + "\n")
    second = [
        json.dumps({"text": texts[3]}),
        "{broken",
        json.dumps({"id": 7, "nothing": 1}),
        json.dumps({"text": "x" * 4000}),
    ]
    (folder / "2.jsonl").write_bytes("\n".join(second).encode())
    table = pa.table({"id": [f"p{n}" for n in range(5)], "question": texts[7:12], "other": [1] * 5})
    pq.write_table(table, folder / "3.parquet", row_group_size=2)
    (folder / "notes.txt").write_text("not read")
    return folder


def run(*arguments):
    return main(["batch", *map(str, arguments), *FAST])


def test_every_prompt_is_answered_in_order_and_what_cannot_be_has_its_error(asked, tmp_path, model, capsys):
    assert run(asked, "--out", tmp_path / "out", "--shard-size", "5") == 1
    assert "3 prompts could not be decoded" in capsys.readouterr().err
    found = lines(tmp_path / "out")
    assert [record["id"] for record in found] == ["a", 1, 2, 3, 4, 7, 6, "p0", "p1", "p2", "p3", "p4"]
    assert sorted(path.name for path in (tmp_path / "out").glob("part-*")) == [f"part-0000{n}.jsonl" for n in range(3)]
    errors = {record["id"]: record["error"] for record in found if "error" in record}
    assert set(errors) == {4, 7, 6}
    assert "no valid JSON" in errors[4]
    assert "none of question" in errors[7]
    assert "exceed the model's context" in errors[6]
    texts = questions(12)
    right = [index for index in range(12) if index not in (4, 5, 6)]
    for index in right:
        answer = dus.generate(model, texts[index], max_new_tokens=16, block_length=8, scores=False)
        assert found[index]["answers"][0]["text"] == answer.text[0]
        assert found[index]["answers"][0]["tokens"] == answer.tokens[0].tolist()
        assert found[index]["answers"][0]["nfe"] == answer.nfe[0]


def test_files_folders_and_globs_say_the_same(asked, tmp_path):
    names = [["1.jsonl", "2.jsonl", "3.parquet"], ["*.jsonl", "3.parquet"]]
    shards, digest = scan(files_of([str(asked)]), 5)
    for some in names:
        assert scan(files_of([str(asked / name) for name in some]), 5) == (shards, digest)
    for wrong in ("nothing*", str(asked / "notes.txt"), str(tmp_path)):
        with pytest.raises(BatchError, match=r"\.jsonl or \.parquet"):
            files_of([wrong])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(1, 7), st.data())
def test_shards_hold_every_row_once_and_in_order(tmp_path_factory, counts, size, data):
    folder, number, written = tmp_path_factory.mktemp("files"), 0, []
    for at, count in enumerate(counts):
        path = folder / f"{at}.{data.draw(st.sampled_from(['jsonl', 'parquet']))}"
        texts = [f"é {number + row}" for row in range(count)]
        number += count
        written += texts
        if path.suffix == ".parquet":
            pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=3)
        else:
            gaps = data.draw(st.lists(st.sampled_from(["\n", "\n\n", "\r\n"]), min_size=count, max_size=count))
            path.write_bytes(
                "".join(json.dumps({"text": t}) + gap for t, gap in zip(texts, gaps, strict=True)).encode()
            )
    if not written:
        with pytest.raises(BatchError, match="no prompts"):
            scan(files_of([str(folder)]), size)
        return
    shards, _ = scan(files_of([str(folder)]), size)
    read = [asked for shard in shards for asked in shard.read()]
    assert [asked.content for asked in read] == written
    assert [asked.index for asked in read] == list(range(len(written)))
    assert [shard.count for shard in shards[:-1]] == [size] * (len(shards) - 1)
    assert [shard.read() for shard in shards] == [read[shard.first :][: shard.count] for shard in shards]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms())
def test_rows_may_come_in_any_order_and_be_cut_off_anywhere(tmp_path_factory, counts, rng):
    folder = tmp_path_factory.mktemp("out")
    firsts = [sum(counts[:number]) for number in range(len(counts))]
    rows = [(number, first + at) for number, first in enumerate(firsts) for at in range(counts[number])]
    left = list(rows)
    while left:
        store = Shards(folder)
        rng.shuffle(left)
        done = [row for row in left if row[1] in store.kept(row[0]) or store.whole(row[0])]
        left = [row for row in left if row not in done]
        for number, index in left[: rng.randint(1, 4)]:
            for text in ("é\u2028", "another"):  # the first one stays
                store.add(number, counts[number], index, {"index": index, "text": text})
        store.close()
        for path in folder.glob("*.partial"):  # killed in the middle of a line
            if rng.random() < 0.5:
                with path.open("ab") as file:
                    file.write(b'0\t{"index": "hal')
        left = [row for row in left if not store.whole(row[0])]
    assert lines(folder) == [{"index": index, "text": "é\u2028"} for _, index in rows]
    assert list(folder.glob("*.partial")) == []


def command(*arguments):
    call = "import sys; from dus.cli import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", call, *map(str, arguments)], stderr=subprocess.DEVNULL)


def test_a_run_that_is_killed_keeps_what_it_has_and_goes_on(tmp_path, capsys):
    file, out, whole = (tmp_path / name for name in ("many.jsonl", "out", "whole"))
    file.write_text("".join(json.dumps({"question": text}) + "\n" for text in questions(60)))
    sampled = ["--temperature", "1", "--shard-size", "25", "--planner", "confidence(per_step=1)"]
    process = command("batch", file, "--out", out, *FAST, *sampled)
    until = time.monotonic() + 60
    while sum(path.read_bytes().count(b"\n") for path in out.glob("part-*")) < 30:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.jsonl")}
    kept = sum(path.read_bytes().count(b"\n") for path in out.glob("part-*"))
    assert 30 <= kept < 60
    seed = json.loads((out / "run.json").read_text())["seed"]
    assert run(file, "--out", out, *sampled) == 0
    assert all((out / name).stat().st_mtime_ns == then for name, then in before.items())
    assert run(file, "--out", whole, *sampled, "--seed", seed) == 0
    assert lines(out) == lines(whole)
    assert len({record["answers"][0]["text"] for record in lines(out)}) > 10
    assert run(file, "--out", out, *sampled) == 0  # nothing is left to do
    capsys.readouterr()
    assert run(file, "--out", out, "--shard-size", "25") == 2
    assert "holds another run's answers" in capsys.readouterr().err


def test_generate_keeps_what_it_has_beside_the_file(tmp_path, capsys, monkeypatch):
    from dus.serving.batch import Batch

    file, out = tmp_path / "many.jsonl", tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"question": text}) + "\n" for text in questions(9)))
    given_ = ["generate", str(file), "--out", str(out), "--seed", "1", *FAST[:-2], "--batch-size", "2"]
    records = Batch.records

    def killed(self, prompts):
        for number, found in enumerate(records(self, prompts)):
            if number == 5:
                raise KeyboardInterrupt
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "records", killed)
        assert main(given_) == 130
    assert not out.exists()
    (part,) = (tmp_path / "answers.jsonl.parts").glob("part-*")
    assert part.read_bytes().count(b"\n") == 5
    counted = []
    monkeypatch.setattr(
        Batch, "records", lambda self, prompts: records(self, (counted.append(p) or p for p in prompts))
    )
    assert main(given_) == 0
    assert len(counted) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "many.jsonl"]
    capsys.readouterr()
    assert main([*given_[:2], *given_[4:], "--json"]) == 0
    assert capsys.readouterr().out == out.read_text()


def test_a_row_that_fails_takes_no_other_with_it(model):
    from dus.decoding import Settings
    from dus.serving.batch import Batch
    from dus.serving.source import Asked

    from .running import Allergic

    texts = [*questions(5), "poison"]
    (poison, *_) = set(model.tokenizer("poison")["input_ids"]) - {
        token for text in texts[:5] for token in model.tokenizer(text)["input_ids"]
    }
    rng = random.Random(0)
    asked = [Asked(number, {"id": number}, text) for number, text in enumerate(texts)]
    rng.shuffle(asked)
    batch = Batch(Allergic(model, poison), Settings(max_new_tokens=16), rows=8)
    found = {asked.index: record for asked, record in batch.records(asked)}
    assert found[5]["error"] == "a kernel failed"
    assert [found[n]["answers"][0]["text"] for n in range(5)] == dus.generate(model, texts[:5], max_new_tokens=16).text


def test_memory_that_runs_short_halves_the_rows(model):
    from dus.decoding import BatchWarning, Settings
    from dus.denoisers import DenoiserAround
    from dus.serving.batch import Batch
    from dus.serving.source import Asked

    class Small(DenoiserAround):
        def logits(self, canvas, **named):
            if len(canvas) > 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().logits(canvas, **named)

    batch = Batch(Small(model), Settings(max_new_tokens=16), rows=8)
    asked = [Asked(number, {"id": number}, text) for number, text in enumerate(questions(10))]
    with pytest.warns(BatchWarning, match="from now on 2 are decoded at a time"):
        found = {asked.index: record["answers"][0]["text"] for asked, record in batch.records(asked)}
    assert [found[n] for n in range(10)] == dus.generate(model, questions(10), max_new_tokens=16).text


def test_ray_answers_what_one_process_answers_and_a_killed_actor_loses_nothing(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file, out, here, marker = (tmp_path / name for name in ("many.jsonl", "out", "here", "killed"))
    file.write_text("".join(json.dumps({"id": f"n{n}", "question": q}) + "\n" for n, q in enumerate(questions(24))))
    from dus.cli import answering

    made = answering.made

    def mortal(*arguments, **named):
        """A decoder whose second shard kills the process; once."""
        batch = made(*arguments, **named)
        records, calls = batch.records, iter(range(100))

        def killing(prompts):
            for number, found in enumerate(records(prompts)):
                if number == 2 and next(calls) == 1 and not os.path.exists(str(marker)):
                    open(str(marker), "w").close()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield found

        batch.records = killing
        return batch

    assert run(file, "--out", here, "--shard-size", "4", "--seed", "3") == 0
    monkeypatch.setattr(answering, "made", mortal)
    assert run(file, "--out", out, "--shard-size", "4", "--seed", "3", "--engine", "ray", "--workers", "2") == 0
    assert marker.exists()
    assert lines(out) == lines(here)
    assert not ray.is_initialized()
