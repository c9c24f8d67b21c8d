"""`dus theory gap`, `long`, `order`, `blocks` and `dus calibrate` on small settings; and the texts that they read."""

import json
import re
from collections import Counter
from itertools import chain

import pytest
import typer
from typer.testing import CliRunner

import dus
from dus.cli import InputError
from dus.cli.calibrate import calibrate
from dus.cli.theory import theory
from dus.denoisers import from_callable
from dus.evaluation.intervals import Accuracy
from dus.evaluation.tasks import get
from dus.lab.theory import TheoryError, from_file, from_task
from dus.lab.theory.long import Tried, answers, at_calls, preceded
from dus.planners import parse

application = typer.Typer()
application.command("calibrate")(calibrate)
application.add_typer(theory, name="theory")


def run(*arguments):
    result = CliRunner().invoke(application, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def check_page(page, picture=True):
    """The page names the command that made it, and shows the picture beside it."""
    text = page.read_text(encoding="utf-8")
    command = re.search(r"(?m)^ {4}\S+ (.*)$", text)[1]
    assert str(page) in command
    shown = re.findall(r"\]\(([\w-]+\.png)\)", text)
    assert len(shown) == picture
    for name in shown:
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    return text


@pytest.fixture(scope="module")
def bundled():
    return dus.load()


def test_gap_of_a_source_stands_beside_the_exact_one(tmp_path):
    page = tmp_path / "gap.md"
    small = ["--kind", "hidden chain", "--texts", 40, "--spacing", "1,2,4", "--group", "2,3", "--page", page]
    out = run("theory", "gap", *small)
    rows = [line.split("|")[1:-1] for line in out.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == 6
    for row in rows:
        divergence, exact = float(row[5].split("±")[0]), float(row[6])
        assert divergence == pytest.approx(exact, abs=0.1)
    assert out.count("C ρ^s with ρ = ") == 2
    text = check_page(page)
    assert "--kind 'hidden chain'" in text
    table, said = out.strip().split("\n\n")
    assert said in text.split("Made by")[0]
    assert table in text.split("Made by")[1]


def test_gap_of_a_model_on_a_task_and_on_a_file(tmp_path):
    out = run("theory", "gap", "--level", 1, "--texts", 4, "--spacing", "1,2", "--draws", 1)
    assert "fewer than three spacings" in out
    path = tmp_path / "story.txt"
    path.write_text("Tom has 5 apples and buys 7 more. " * 30)
    out = run("theory", "gap", "--task", path, "--texts", 4, "--spacing", 3, "--draws", 1)
    assert re.search(r"\| 3 \| 2 \|", out)


def test_long_contexts_of_a_source_and_answers_of_a_model(tmp_path):
    page = tmp_path / "long.md"
    small = ["--known", "0,4", "--block-length", 4, "--spacing", "1,2,3", "--texts", 10, "--page", page]
    out = run("theory", "long", "--kind", "slow topic", *small)
    assert len(re.findall(r"(?m)^\| [04] \|", out)) == 2
    check_page(page)
    small = ["--known", "2,40", "--spacing", "1,2", "--block-length", 4, "--texts", 4, "--level", 1]
    out = run("theory", "long", *small, "--fill", "--turns", "0,1", "--limit", 2, "--planner", "dus")
    assert re.search(r"\| solved problems before \| `dus` \|", out)
    assert len(re.findall(r"of 2|calls", out)) >= 2


def test_order(tmp_path):
    page = tmp_path / "order.md"
    small = ["--kind", "first order", "--block-length", "4,8", "--texts", 20, "--page", page]
    out = run("theory", "order", *small)
    assert out.count("`dus(order=fine-to-coarse)`") >= 2
    assert "## Blocks of 8" in check_page(page, picture=False)


def test_chosen_block_lengths_stand_beside_fixed_ones(tmp_path):
    page = tmp_path / "blocks.md"
    small = ["--level", 1, "--limit", 4, "--block-length", "4,16", "--bits", "0,3,99", "--page", page]
    out = run("theory", "blocks", *small, "--rule", "adablock(ids='17')")
    rows = [line for line in out.splitlines() if line.startswith("| `")]
    assert len(rows) == 6
    calls = [float(line.split("|")[2]) for line in rows]
    assert calls == sorted(calls)
    assert out.count("Blocks of ") == 2
    assert out.count("- `adablock(ids='17')`: ") == 1
    check_page(page, picture=False)


def test_a_share_at_a_number_of_calls_lies_on_the_line_between():
    points = [Tried("a", Accuracy(1, 10), 4.0, 8.0), Tried("b", Accuracy(5, 10), 8.0, 4.0)]
    assert at_calls(points, 5.0) == pytest.approx(0.2)
    assert at_calls(points, 4.0) == pytest.approx(0.1)
    assert at_calls(points, 3.0) is None
    assert at_calls([], 3.0) is None


def test_calibrate_writes_what_the_planner_runs(tmp_path, bundled):
    file, page = tmp_path / "levels.json", tmp_path / "levels.md"
    small = ["--block-length", 4, "--max-new-tokens", 8, "--calls", 4, "--level", 1, "--texts", 8]
    out = run("calibrate", *small, "--out", file, "--page", page)
    assert f"levels(file='{file}') with a block length of 4" in out
    assert "--calls 4" in json.loads(file.read_text(encoding="utf-8"))["about"]["command"]
    check_page(page, picture=False)
    done = dus.generate(
        bundled, "Tom has 5 apples.", planner=f"levels(file='{file}')", max_new_tokens=8, block_length=4, eos="ignore"
    )
    assert done.nfe[0] == 2 * parse(f"levels(file='{file}')").num_steps(4)
    out = run("calibrate", "--kind", "first order", "--block-length", 4, "--quality", 9, "--out", file)
    assert out.endswith("levels(groups='0 1 2 3')\n")
    assert json.loads(file.read_text(encoding="utf-8"))["levels"] == [[0, 1, 2, 3]]


def test_calibrate_measures_shares_that_deb_reads(tmp_path):
    file, page = tmp_path / "shares.json", tmp_path / "shares.md"
    of = ["--kind", "eight strands", "--rate", 0.99, "--texts", 64]
    out = run("calibrate", "--planner", "deb", *of, "--block-length", "4,10", "--out", file, "--page", page)
    record = json.loads(file.read_text(encoding="utf-8"))
    found = record["shares"]
    assert len(found) == 9
    assert max(range(9), key=found.__getitem__) == 7  # a copy at distance 8
    assert all(share < 1e-6 for share in [*found[:7], found[8]])
    planner = parse(f"deb(file='{file}')")
    assert list(planner.shares) == found
    assert out.endswith(f"deb(file='{file}')\n")
    assert "--planner deb" in record["about"]["command"]
    check_page(page, picture=False)


def test_calibrate_counts_the_tokens_of_answers_for_pc(tmp_path, bundled):
    file = tmp_path / "frequencies.json"
    out = run("calibrate", "--planner", "pc", "--task", "arithmetic", "--level", 1, "--texts", 6, "--out", file)
    record = json.loads(file.read_text(encoding="utf-8"))
    texts = from_task(bundled, get("arithmetic"), 1, 6)
    written = [row[first:end].tolist() for row, first, end in zip(texts.rows, texts.firsts, texts.ends, strict=True)]
    expected = Counter(chain.from_iterable(written))
    assert record["counts"] == {str(token): count for token, count in expected.items()}
    assert record["vocab_size"] == bundled.vocab_size
    assert f"{sum(expected.values())} tokens of 6 texts" in out
    planner = parse(f"pc(file='{file}', per_step=4)")
    planner.check(8, bundled.vocab_size)
    assert "--planner pc --task arithmetic" in record["about"]["command"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["theory", "gap", "--kind", "no such"], "known are first order"),
        (["theory", "gap", "--kind", "first order", "--model", "x"], "exclude each other"),
        (["theory", "gap", "--spacing", "one"], "takes whole numbers separated by commas, not 'one'"),
        (["theory", "gap", "--spacing", "0,1"], "--spacing starts at 1, not at 0"),
        (["theory", "gap", "--task", "nothing.txt"], "neither a task (arithmetic"),
        (["theory", "long", "--kind", "first order", "--turns", "1"], "needs a model that answers"),
        (["theory", "order", "--block-length", "1"], "--block-length starts at 2"),
        (["calibrate", "--kind", "first order", "--out", "x.json"], "give one of them"),
        (["calibrate", "--out", "x.json", "--planner", "eb"], "made for the planner 'eb'; known are levels, pc, deb"),
        (["calibrate", "--out", "x.json", "--planner", "pc", "--calls", 8], "--calls is about levels"),
        (["calibrate", "--out", "x.json", "--planner", "pc", "--block-length", 8], "--block-length is about levels"),
        (["calibrate", "--out", "x.json", "--planner", "deb", "--quality", 1], "--quality is about levels, and --plan"),
        (["calibrate", "--kind", "first order", "--out", "/no/such/x.json", "--quality", "1"], "there is no folder"),
    ],
)
def test_bad_input(arguments, part):
    with pytest.raises((InputError, TheoryError)) as caught:
        run(*arguments)
    assert part in str(caught.value)


def test_texts_of_a_task(bundled):
    task = get("arithmetic")
    texts = from_task(bundled, task, 1, 3)
    problem = next(task.problems(1, 0))
    assert problem.question not in {held_out.question for held_out in task.held_out(1, 2000)}
    row, first, end = texts.rows[0], texts.firsts[0], texts.ends[0]
    assert problem.question in bundled.tokenizer.decode(row[:first])
    assert bundled.tokenizer.decode(row[first : end - 1]) == problem.solution
    assert set(row[end - 1 :].tolist()) == {bundled.eos_token_ids[0]}
    assert len(row) == first + task.answer_tokens[1]


def test_texts_of_files(bundled, tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"question": "How many?", "answer": "Five."}\n\n{"text": "Tom has five."}\n')
    asked, bare = from_file(bundled, lines, 9, 4).rows
    assert "How many?" in bundled.tokenizer.decode(asked)
    assert bundled.tokenizer.decode(bare[:-1]) == "Tom has five."
    long = tmp_path / "long.txt"
    long.write_text("one two three four five six seven eight nine ten " * 3)
    cut = from_file(bundled, long, 4, 5)
    assert [len(row) for row in cut.rows] == [5] * 4
    with pytest.raises(TheoryError, match="900 are needed"):
        from_file(bundled, long, 4, 900)
    for content, part in (("{", "no valid JSON"), ('["a"]', "a question and an answer"), ("", "holds no text")):
        lines.write_text(content)
        with pytest.raises(TheoryError, match=part):
            from_file(bundled, lines, 4, 5)
    mute = from_callable(lambda canvas: canvas, mask_token_id=0, vocab_size=2)
    with pytest.raises(TheoryError, match="no tokenizer"):
        from_file(mute, long, 4, 5)


def test_texts_are_put_behind_whole_other_ones(bundled):
    texts = from_task(bundled, get("arithmetic"), 1, 4)
    longer = preceded(texts, 60)
    for row, first, end, old, at, stop in zip(
        longer.rows, longer.firsts, longer.ends, texts.rows, texts.firsts, texts.ends, strict=True
    ):
        assert first >= 60
        assert end - first == stop - at
        assert row[first - at :].equal(old)
    assert preceded(texts, 0).firsts == texts.firsts


def test_answers_are_right_or_wrong(bundled):
    with pytest.raises(TheoryError, match="are not right or wrong"):
        next(answers(bundled, get("text"), 1, [0], ["dus"], limit=1))
