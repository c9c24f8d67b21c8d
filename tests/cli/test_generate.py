"""`dus generate`: one prompt or many, as text, as JSON, into a file, and watched."""

import io
import json
import sys

import pytest
from rich.console import Console

import dus as package
from dus.cli.progress import PromptsBar
from dus.cli.watch import Watch
from dus.decoding import Settings

SHORT = ["--max-new-tokens", "12", "--block-length", "8", "--dtype", "float32"]
DRAWN = ["--temperature", "1", "--seed", "5"]
RECORD = {"prompt", "answers", "planner", "block_length", "seed"}
ANSWER = {"text", "nfe", "tpf", "raw_tpf", "tokens", "step"}


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """A file of 30 prompts of different lengths and all kinds of fields, with blank lines among them."""
    file = tmp_path_factory.mktemp("prompts") / "many.jsonl"
    lines = [json.dumps({("question", "prompt", "text")[n % 3]: "x" * (7 * n % 40 + 1)}) for n in range(30)]
    file.write_text("\n\n".join(lines) + "\n")
    return file


def test_answer_goes_to_stdout_and_figures_to_stderr(dus, checkpoint):
    code, out, err = dus("generate", "hello", "--model", checkpoint, *SHORT)
    expected = package.generate(package.load(checkpoint, dtype="float32"), "hello", max_new_tokens=12, block_length=8)
    assert (code, out) == (0, f"{expected.text[0]}\n")
    assert f"NFE {expected.nfe[0]} " in err


def test_a_block_causal_model_is_decoded_in_its_own_blocks_by_every_command(
    dus, good, block_causal_checkpoint, prompts, tmp_path
):
    model = ["--model", block_causal_checkpoint]
    made = json.loads(good("generate", "hello", "--max-new-tokens", 12, "--json", *model))
    compared = json.loads(good("compare", "hello", "--max-new-tokens", 12, "--json", "--planner", "dus", *model))
    assert made["block_length"] == compared["block_length"] == 4
    assert json.loads(good("infill", "he[MASK]o [MASK]", "--json", *model))["block_length"] == 4
    good("batch", prompts, "--out", tmp_path / "answers", "--max-new-tokens", 12, *model)
    for command in (["generate", "hello"], ["eval", "--no-chat", "--limit", 1, "--out", tmp_path / "sweep"]):
        command += ["--max-new-tokens", 12]
        code, _, err = dus(*command, "--block-length", 8, *model)
        assert code == 2
        assert "this model's blocks have 4 tokens: say 4, or leave it out" in err


def test_json_is_one_document(dus, checkpoint):
    code, out, err = dus("generate", "hello", "--model", checkpoint, *SHORT, "--json", *DRAWN, "--eos", "ignore")
    record = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert set(record) == RECORD | {"seconds"}
    assert (record["prompt"], record["planner"], record["block_length"], record["seed"]) == ("hello", "dus", 8, 5)
    (answer,) = record["answers"]
    assert set(answer) == ANSWER
    assert answer["nfe"] == max(answer["step"]) + 1 == 5
    assert len(answer["tokens"]) == len(answer["step"]) == 12


def test_file_and_stdin_are_one_prompt(good, checkpoint, tmp_path, monkeypatch):
    text = "two\nlines"
    direct = good("generate", text, "--model", checkpoint, *SHORT)
    file = tmp_path / "prompt.txt"
    file.write_bytes(f"\ufeff{text}\r\n".encode())
    assert good("generate", file, "--model", checkpoint, *SHORT) == direct
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{text}\n".encode())))
    assert good("generate", "-", "--model", checkpoint, *SHORT) == direct


def test_many_prompts_come_back_in_order(good, checkpoint, prompts):
    asked = [json.loads(line) for line in prompts.read_text().split("\n") if line]
    out = good("generate", prompts, "--model", checkpoint, *SHORT, "--json", "--batch-size", "4")
    found = [json.loads(line) for line in out.splitlines()]
    assert [record["prompt"] for record in found] == [next(iter(record.values())) for record in asked]
    assert [record["line"] for record in found] == [2 * n + 1 for n in range(30)]
    assert all(set(record) == RECORD | {"line"} for record in found)
    model = package.load(checkpoint, dtype="float32")
    assert len({record["answers"][0]["text"] for record in found}) > 10
    alone = [package.generate(model, record["prompt"], max_new_tokens=12, block_length=8).tokens[0] for record in found]
    assert [record["answers"][0]["tokens"] for record in found] == [tokens.tolist() for tokens in alone]


def test_out_holds_what_json_prints(dus, good, checkpoint, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    code, printed, err = dus("generate", prompts, "--model", checkpoint, *SHORT, "--seed", "1", "--out", out)
    assert (code, printed) == (0, "")
    assert "30 answers" in err
    assert str(out) in err
    expected = good("generate", prompts, "--model", checkpoint, *SHORT, "--seed", "1", "--json")
    assert out.read_text(encoding="utf-8") == expected
    assert [file.name for file in tmp_path.iterdir()] == ["answers.jsonl"]


def test_samples_and_lines_are_told_apart(good, checkpoint, tmp_path):
    file = tmp_path / "two.jsonl"
    file.write_text('{"text": "a"}\n{"text": "b"}\n')
    out = good("generate", file, "--model", checkpoint, *SHORT, "--samples", "2", "--temperature", "1")
    for name in ("line 1, sample 1", "line 1, sample 2", "line 2, sample 1", "line 2, sample 2"):
        assert f"--- {name}\n" in out
    record = json.loads(
        good("generate", "a", "--model", checkpoint, *SHORT, "--samples", "3", "--temperature", "1", "--json")
    )
    assert len(record["answers"]) == 3


def test_messages_are_a_chat(good, chat_checkpoint, tmp_path):
    file = tmp_path / "chat.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "hello"}]}\n')
    (record,) = [json.loads(good("generate", file, "--model", chat_checkpoint, *SHORT, "--json"))]
    single = json.loads(good("generate", "hello", "--model", chat_checkpoint, *SHORT, "--json"))
    plain = json.loads(good("generate", "hello", "--model", chat_checkpoint, *SHORT, "--json", "--no-chat"))
    written = json.loads(good("generate", "user: hello ", "--model", chat_checkpoint, *SHORT, "--json", "--no-chat"))
    assert record["answers"] == single["answers"] == written["answers"] != plain["answers"]


def test_a_conversation_that_ends_with_the_assistants_turn_is_continued(good, chat_checkpoint, tmp_path):
    file = tmp_path / "chat.jsonl"
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "It is"}]
    file.write_text(json.dumps({"messages": turns}) + "\n")
    found = json.loads(good("generate", file, "--model", chat_checkpoint, *SHORT, "--json"))
    begun = "user: hello assistant: It is"
    plain = json.loads(good("generate", begun, "--model", chat_checkpoint, *SHORT, "--json", "--no-chat"))
    assert found["answers"] == plain["answers"]


@pytest.mark.parametrize(
    "idle",
    [["--defer-tokens", "5"], ["--top-p", "0.5"], ["--top-k", "3"], ["--samples", "2"], ["--seed", "1"]],
    ids=" ".join,
)
def test_an_option_without_effect_is_told_of_in_a_line(dus, checkpoint, prompts, tmp_path, idle):
    for number, command in enumerate((["generate", "hello"], ["generate", prompts], ["batch", prompts])):
        out = [] if number == 0 else ["--out", tmp_path / f"{number}"]
        code, _, err = dus(*command, *out, "--model", checkpoint, *SHORT, *idle)
        assert code == 0
        (line,) = [line for line in err.splitlines() if line.startswith("dus: ")]
        assert "at temperature 0" in line or line.startswith("dus: defer_tokens has no effect under dus, ")
        assert "above 0" in line or "confidence(like=dus)" in line


def test_a_blank_in_a_prompt_points_to_infill(dus, checkpoint):
    code, _, err = dus("generate", "5 + 7 = [MASK]", "--model", checkpoint, *SHORT)
    assert code == 0
    assert err.startswith(
        "dus: prompt 0 holds [MASK], which generate reads as letters: to have it filled in, use infill\n"
    )


def test_progress_bar_counts_every_prompt_once(checkpoint):
    decoding = {"max_new_tokens": 12, "block_length": 4, "scores": False}
    prompts = ["x" * (n + 1) for n in range(7)]
    with PromptsBar(len(prompts), 2, Settings(**decoding)) as bar:
        seen = []

        def see(step):
            bar(step)
            seen.append(bar.bar.tasks[0].completed)

        package.generate(package.load(checkpoint), prompts, samples=2, batch_size=4, progress=see, **decoding)
    assert seen == sorted(seen)
    assert len(bar.reached) == 14
    assert 6 <= seen[-1] < 7


def test_watch_prints_the_final_state_without_a_terminal(good, checkpoint):
    out = good("generate", "hello", "--model", checkpoint, *SHORT, "--watch", "--planner", "eb(gamma=1)")
    assert "step of the block" in out
    assert "eb(gamma=1)" in out
    assert out.count("NFE") == 1
    assert "▁" not in out


@pytest.mark.parametrize("planner", ["dus", "cb(tau=0.5)", "saber", "confidence(per_step=1)"])
@pytest.mark.parametrize("length", [12, 80])
def test_watch_draws_each_step_within_the_screen(checkpoint, planner, length):
    model = package.load(checkpoint, dtype="float32")
    decoding = {"planner": planner, "max_new_tokens": length, "block_length": 8, "scores": False, "eos": "ignore"}
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="truecolor", width=24, height=7)
    frames = []
    with Watch(console, model, Settings(**decoding)) as view:

        def see(step):
            view(step)
            frames.append(view.live.get_renderable())

        generation = package.generate(model, "hello", progress=see, **decoding)
        view.finish(generation)
    assert len(frames) == generation.nfe[0]
    plain = Console(width=24, file=io.StringIO())
    heights = [len(plain.render_lines(frame, pad=False)) for frame in frames]
    assert max(heights) <= console.height
    assert "▁" in screen.getvalue()
    assert len(generation.tokens[0]) == length
    assert "48;2;" in screen.getvalue()


@pytest.mark.parametrize(
    ("typed", "stop"),
    [("a\\n", "a\n"), ("\\t\\r", "\t\r"), ("\\\\n", "\\n"), ("\n", "\n"), ("\\d é", "\\d é"), ("\\\\\\n", "\\\n")],
)
def test_a_stop_string_may_be_typed_with_escapes(good, checkpoint, monkeypatch, typed, stop):
    asked = []
    monkeypatch.setattr("dus.cli.generate._decoded", lambda *given: asked.append(given) or sys.exit(0))
    with pytest.raises(SystemExit):
        good("generate", "hello", "--model", checkpoint, *SHORT, "--stop", typed, "--stop", "b")
    assert asked[0][2].stops == (stop, "b")


def test_tokens_may_be_suppressed_and_deferred(good, checkpoint):
    model = package.load(checkpoint, dtype="float32")
    asked = {"max_new_tokens": 12, "block_length": 8, "planner": "confidence"}
    plain = package.generate(model, "hello", **asked)
    written = sorted(set(plain.tokens[0].tolist()))[:2]
    given = ["--suppress-tokens", ",".join(map(str, written)), "--defer-tokens", "5;6", "--planner", "confidence"]
    found = json.loads(good("generate", "hello", "--model", checkpoint, *SHORT, *given, "--json"))
    expected = package.generate(model, "hello", **asked, suppress_tokens=written, defer_tokens=[5, 6])
    assert found["answers"][0]["tokens"] == expected.tokens[0].tolist() != plain.tokens[0].tolist()
    compared = json.loads(good("compare", "hello", "--model", checkpoint, *SHORT, *given, "--json"))
    assert compared["results"][-1]["tokens"] == expected.tokens[0].tolist()
