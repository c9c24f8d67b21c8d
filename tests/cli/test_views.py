"""`dus compare`, `dus schedule`, `dus planners`, `dus demo`, and the colours under them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from dus.cli import demo
from dus.cli.colours import coloured, legend, step_style
from dus.evaluation.intervals import Accuracy
from dus.planners import parse, registered
from dus.writing.colours import block_steps, pieces

from .conftest import byte_tokenizer

SHORT = ["--max-new-tokens", "12", "--block-length", "8"]
TOKEN_BY_TOKEN = "confidence(per_step=1)"
SVG = "{http://www.w3.org/2000/svg}"


def test_compare_shows_token_by_token_first(good, checkpoint):
    out = good("compare", "hello", "--model", checkpoint, *SHORT, "--planner", "eb", "--planner", TOKEN_BY_TOKEN)
    assert out.count(TOKEN_BY_TOKEN) == 1
    assert out.index(TOKEN_BY_TOKEN) < out.index("eb(gamma=0.1)")
    assert all(name in out for name in ("text", "NFE", "TPF", "speed-up"))
    assert all(len(line) <= 80 for line in out.splitlines())


def test_compare_json(good, checkpoint):
    out = good("compare", "hello", "--model", checkpoint, *SHORT, "--eos", "ignore", "--repeat", "2", "--json")
    record = json.loads(out)
    assert set(record) == {"prompt", "block_length", "seed", "repeat", "results"}
    results = record["results"]
    assert [result["planner"] for result in results] == [TOKEN_BY_TOKEN, "dus", "confidence(like=dus)"]
    assert [result["nfe"] for result in results] == [12, 5, 5]
    assert results[0]["speed_up"] == 1
    answer = {"text", "nfe", "tpf", "raw_tpf", "tokens", "step"}
    assert all(set(result) == answer | {"planner", "seconds", "speed_up"} for result in results)


def test_compare_draws_what_each_call_wrote(good, checkpoint, tmp_path):
    picture = tmp_path / "moving.svg"
    named = ["--planner", "dus", "--planner", "cb(tau=0.9)"]
    prompt = "is 1 < 2 & 3?"
    written = good("compare", prompt, "--model", checkpoint, *SHORT, "--json", *named, "--svg", picture)
    results = {result["planner"]: result for result in json.loads(written)["results"]}
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    assert "".join(text.text for text in root.iter(f"{SVG}text") if text.get("class") == "prompt") == prompt
    panels = root.findall(f"{SVG}g")
    assert len(panels) == len(named) // 2
    for panel, planner in zip(panels, named[1::2], strict=True):
        tiles = panel.findall(f"{SVG}g")
        assert [int(tile.get("class")[1:]) - 1 for tile in tiles] == results[planner]["step"]
        assert len([at for at in panel.iter(f"{SVG}rect") if at.get("class") == "mask"]) == len(tiles)
        assert any(text.text == f"{results[planner]['nfe']} calls" for text in panel.iter(f"{SVG}text"))
    assert "http" not in picture.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")


def test_schedule_of_the_paper(good):
    record = json.loads(good("schedule", "--json"))
    assert record["steps"] == [[0, 8], [4, 12], [2, 6, 10, 14], list(range(1, 16, 2))]
    assert (record["nfe"], record["speed_up"], record["planner"], record["block_length"]) == (4, 4.0, "dus", 16)
    lines = good("schedule").splitlines()
    assert [line.count("■") for line in lines] == [0, 0, 2, 2, 4, 8, 0, 0]
    assert "2 + 2 + 4 + 8 = 16" in lines[-2]
    assert "4.00 times" in lines[-1]


@pytest.mark.parametrize("length", [1, 7, 36, 37, 64, 200])
@pytest.mark.parametrize("planner", ["dus(base=3)", "random(steps=5)", "left-to-right(per_step=9)"])
def test_schedule_shows_each_position_once(good, planner, length):
    out = good("schedule", "--planner", planner, "--block-length", length)
    assert out.count("■") == length
    assert all(len(line) <= 80 for line in out.splitlines())


def test_planners_lists_all(good):
    out = good("planners")
    assert all(re.search(rf"^(… \| )?{name}\(", out, flags=re.MULTILINE) for name in registered())
    assert all(len(line) <= 80 for line in out.splitlines())
    found = json.loads(good("planners", "--json"))
    assert [record["name"] for record in found] == list(registered())
    for record in found:
        assert set(record) == {"name", "rule", "formulas", "fields", "wraps"}
        assert record["rule"].endswith((".", ":"))
        assert all(field["meaning"] for field in record["fields"]), record["name"]


def test_the_guide_has_the_table_of_the_planners(good):
    rows = good("planners", "--markdown").rstrip("\n")
    assert rows.count("\n") == len(registered()) + 1
    assert rows in (Path(__file__).parents[2] / "docs/guides/planners.md").read_text(encoding="utf-8")


def test_planners_in_full(good):
    out = good("planners", "deferred")
    assert out.startswith("… | deferred(threshold=0.3)\n")
    assert "I_t' = { i in I_t : c_i >= threshold }" in out
    assert "The least confidence, 0 to 1." in out
    assert all(field in good("planners", "random") for field in ("steps", "per_step", "like", "seed"))
    (field,) = json.loads(good("planners", "eb", "--json"))["fields"]
    assert field == {"name": "gamma", "default": parse("eb").gamma, "meaning": field["meaning"]}


def test_demo(good, checkpoint):
    out = good("demo", "--model", checkpoint, "--problems", "3", "--block-length", "8")
    assert out.count("step of the block") == 3
    assert len(re.findall(r"DUS +\d+% +\d+% to \d+%", out)) == 3
    names = ("3 held-out problems of each kind", "self-confidence", "confidence bound", "token by token", "speed-up")
    assert all(name in out for name in names)
    assert len(re.findall("^(?:DUS|self|entropy|conf|disc|token).* (?:wrong|right)  ", out, re.M)) == 3 * 6


@pytest.mark.parametrize(
    ("shares", "calls", "parts"),
    [
        ((0.9, 0.5, 0.8, 0.7, 0.6), (5, 5, 6, 7, 8), ["DUS (90% right at 5.0 calls) solves most", "No other planner"]),
        (
            (0.5, 0.6, 0.8, 0.9, 0.7),
            (5, 5, 4, 4, 3),
            ["discounted", "beaten here by", "10 percentage points less than"],
        ),
        ((0.5, 0.5, 0.4, 0.4, 0.4), (5, 5, 5, 5, 5), ["DUS solves as much as self-confidence"]),
    ],
)
def test_the_last_lines_of_the_demo_say_what_the_table_shows(shares, calls, parts):
    names = [name for name in demo.PLANNERS if name != TOKEN_BY_TOKEN]
    kind = {
        name: demo.Result([], Accuracy(round(share * 100), 100), nfe, 1.0, 1.0)
        for name, share, nfe in zip(names, shares, calls, strict=True)
    }
    kind[TOKEN_BY_TOKEN] = demo.Result([], Accuracy(95, 100), 40, 1.0, 1.0)
    said = "\n".join(demo.in_words([kind, kind]))
    assert all(part in said for part in parts), said


def test_pieces_add_up_and_wait_for_whole_characters():
    tokenizer = byte_tokenizer()
    text = "a é 😀\nb"
    tokens = tokenizer(text)["input_ids"]
    found = pieces(tokenizer, tuple(tokens))
    assert "".join(found) == text
    assert found == ("a", " ", "", "é", " ", "", "", "", "😀", "\n", "b")
    assert "".join(pieces(tokenizer, tuple(tokens[:-3]))) == tokenizer.decode(tokens[:-3])


def test_masks_and_end_tokens_have_marks():
    tokenizer = byte_tokenizer()
    tokens = [1, *tokenizer("hi")["input_ids"], 1, 0]
    text = coloured(tokenizer, tokens, [-1, 0, 1, -1, 2], 3, mask=1, ends=[0])
    assert text.plain == "▁hi▁·"
    assert [span.style for span in text.spans][1:3] == [step_style(0, 3), step_style(1, 3)]


def test_steps_count_from_each_block():
    step = torch.tensor([1, 0, 1, 4, 2, 3, 5, -1])
    assert block_steps(step, [3, 6, 8]) == [1, 0, 1, 2, 0, 1, 0, -1]


@pytest.mark.parametrize("steps", [1, 2, 8, 32, 1000])
def test_legend_is_short_and_has_both_ends(steps):
    numbers = [int(number) for number in re.findall(r"\d+", legend(steps).plain)]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1], len(numbers)) == (1, steps, min(steps, 8))
