"""What a judge says of text, and both commands on a tiny model that was written by the trainer's own export."""

import json
import math

import pytest
import torch
from typer.testing import CliRunner

from dus.cli.app import app
from dus.lab.language import corpus, judged
from dus.lab.training.model import Size, as_checkpoint, build, save_checkpoint
from dus.writing.tables import code

PLAIN = [{"question": f"What is {n} and {n} and how far is {n * 9} from here?", "answer": f"{n}."} for n in range(16)]


def words(text):
    """A tokenizer for the tiny Llama: five kinds of letters."""
    return {"input_ids": [ord(letter) % 5 for letter in text]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("english")
    (made / "prose").mkdir()
    (made / "prose" / "a.txt").write_text("A text.\fAnother text.")
    (made / "pairs.jsonl").write_text("\n".join(map(json.dumps, PLAIN)))
    corpus.write(made / "prose", made / "pairs.jsonl", made / "pairs.jsonl", made / "data", length=64)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(made / "data" / "tokenizer")
    network = build(Size(width=32, layers=1, heads=2, mlp=64, kv_heads=2), tokenizer, seed=0)
    save_checkpoint(as_checkpoint(network, tokenizer, tied=True), made / "model", "")
    return made


def test_surprise_is_the_mean_over_the_text_alone(model):
    with torch.no_grad():
        row = torch.tensor(words("How?\nSo.")["input_ids"])
        logs = model(input_ids=row[None]).logits[0].double().log_softmax(-1)
    expected = -sum(float(logs[place - 1, row[place]]) for place in (5, 6, 7)) / 3
    assert judged.surprise(model, words, "How?", "So.") == pytest.approx(expected)


def test_entropy_is_that_of_the_frequencies():
    assert judged.entropy(torch.tensor([3, 3, 3])) == pytest.approx(0)
    assert judged.entropy(torch.tensor([1, 2, 3, 4])) == pytest.approx(math.log(4))
    assert judged.entropy(torch.tensor([1, 1, 2, 2])) == pytest.approx(math.log(2))


def run(*typed):
    result = CliRunner().invoke(app, ["theory", *map(str, typed)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_texts_are_written_and_read(folder, model, monkeypatch):
    monkeypatch.setattr("dus.lab.language.judges.load_judge", lambda source: (model, words, "tiny"))
    page = folder / "judged.md"
    typed = ["judged", folder / "model", folder / "pairs.jsonl", "--blocks", "4,8", "--tokens", 8, "--questions", 8]
    said = run(*typed, "--page", page, "--kept", folder / "kept.jsonl")
    assert "## Blocks of 8, 8 texts" in said
    assert all(said.count(f"| {code(planner)} |") == 2 for planner in judged.PLANNERS)
    assert "# What tiny says of text that planners write" in page.read_text()
    found = json.loads((folder / "kept-4.jsonl").read_text().splitlines()[1])["found"]
    assert set(found["dus"]["calls"]) == set(found["confidence(like=dus)"]["calls"]) == {4}
    assert all(0 < value <= math.log(8) + 1e-9 for value in found["dus"]["entropy"])


def test_the_claim_compares_both_readings_of_self_confidence():
    several = {"dus": [5.0, 5.5, 6.0], "entropy(like=dus)": [6.0, 6.6, 7.1], "confidence(like=dus)": [4.1, 4.4, 5.0]}
    found = [{planner: {"nats": nats, "entropy": nats} for planner, nats in several.items()}]
    by_entropy, by_confidence = judged.claims(found)
    assert "1.067" in by_entropy
    assert "holds here" in by_entropy
    assert "-1.000" in by_confidence
    assert "the other way round" in by_confidence


def test_spans_are_filled(folder):
    said = run("filled", folder / "model", folder / "pairs.jsonl", "--blocks", "4", "--spans", 16)
    assert "## Spans of 4, 16 of them" in said
    assert "paper's claim" in said


def test_too_short_questions_are_refused(folder):
    typed = ["theory", "filled", str(folder / "model"), str(folder / "pairs.jsonl"), "--blocks", "100"]
    result = CliRunner().invoke(app, typed)
    assert "fewer than 8 questions with room for a span of 100 tokens" in str(result.exception)
