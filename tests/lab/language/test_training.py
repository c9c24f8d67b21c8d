"""The archive, the batches, a whole tiny run, its resumption and its checkpoint."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dus
from dus.lab.language import corpus, export, train
from dus.lab.language.corpus import Corpus, draw_masks


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    (folder / "prose").mkdir()
    lines = [f"The {n}th of {n + 7} foxes jumps over a dog, and then sleeps for {n * 3} hours.\n" for n in range(300)]
    (folder / "prose" / "foxes.txt").write_text("\f".join("".join(lines[i : i + 9]) for i in range(290)))
    pairs = [{"question": f"What is {n} and {n}?", "answer": f"It is <<{n}+{n}={2 * n}>>{2 * n}."} for n in range(40)]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    source = {"title": "Foxes", "licence": "CC0", "from": "nowhere", "characters": 9}
    (folder / "prose" / "sources.json").write_text(json.dumps([source]))
    corpus.write(folder / "prose", folder / "pairs.jsonl", folder / "pairs.jsonl", folder / "data", length=64)
    return folder / "data"


def test_the_archive_holds_the_texts_and_no_calculator_marks(data):
    read = Corpus(data, "cpu")
    row, prompt = read.arrays["pairs"][3], int(read.arrays["prompts"][3])
    assert read.tokenizer.decode(row[:prompt]) == "<|user|>What is 3 and 3?<|assistant|>"
    assert read.tokenizer.decode(row[prompt:], skip_special_tokens=True) == "It is 6."
    assert "foxes jumps over" in read.tokenizer.decode(read.arrays["held_text"])
    with np.load(data / "corpus.npz", allow_pickle=False) as archive:
        assert archive["text"].dtype == np.uint16


def test_masks_lie_where_they_may_and_weigh_one_a_row(data):
    generator = torch.Generator().manual_seed(0)
    tokens, maskable = Corpus(data, "cpu").batch(10, generator)
    masked, weights = draw_masks(maskable, generator)
    assert tokens.shape == (10, 64)
    assert not (masked & ~maskable).any()
    assert masked.any(1).all()
    torch.testing.assert_close(weights.sum(1), torch.full((10,), 0.1))
    assert maskable[5:].all()
    assert not maskable[:5, 0].any()
    assert maskable[:5, 1].tolist() == [False, True, False, True, False]  # the question of every other pair


def test_of_what_is_held_out_questions_and_answers_are_measured_apart(data):
    held = Corpus(data, "cpu").held_out(4)
    (tokens, questions), (_, answers) = held["questions"], held["answers"]
    decode = Corpus(data, "cpu").tokenizer.decode
    assert decode(tokens[3][questions[3]]) == "What is 3 and 3?"
    assert decode(tokens[3][answers[3]]) == "It is 6.<|endoftext|>"


def test_a_run_learns_is_resumed_and_becomes_a_checkpoint(data, tmp_path, monkeypatch, capsys):
    out, state = tmp_path / "out", tmp_path / "state.safetensors"
    typed = ["train", str(out), "--data", str(data), "--size", "tiny", "--rows", "8", "--device", "cpu"]
    monkeypatch.setattr(train, "WARMUP", 5)
    monkeypatch.setattr(sys, "argv", [*typed, "--state", str(state), "--minutes", "0.06"])
    train.main()
    monkeypatch.setattr(sys, "argv", [*typed, "--state", str(state), "--minutes", "0.08"])
    train.main()
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] > log[-2]["step"]
    assert log[-1]["prose"] < log[0]["prose"]
    export.write(out, data, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| Foxes | CC0 | nowhere | 9 |" in card
    assert f"{log[-1]['step']:,} steps" in card
    model = dus.load(str(tmp_path / "model"))
    assert len(dus.generate(model, "What is 3 and 3?", max_new_tokens=8, block_length=8, eos="ignore").tokens[0]) == 8
    kept = {name: tensor for name, tensor in load_file(state).items() if not name.startswith("moment.")}
    save_file(kept, state, {"step": "1", "seconds": "1"})
    with pytest.raises(ValueError, match="has no moments of this optimizer: begin the run anew"):
        train.main()
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        export.write(tmp_path, data, tmp_path / "none")
