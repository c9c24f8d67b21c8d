import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dus.evaluation.tasks import TASKS
from dus.lab.training import journal, run
from dus.lab.training.journal import newest_checkpoint
from dus.lab.training.model import build, masked_logits, save_checkpoint
from dus.lab.training.settings import TrainingError, TrainingSettings, chosen, of_fields

from .tiny import TINY


def test_a_killed_run_resumes_exactly_where_it_was(finished, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "checkpoint-6")
    shutil.rmtree(folder / "model")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "model.safetensors").write_bytes(b"killed while writing")
    run.train(folder, TINY, resume=True)
    for name in ("checkpoint-6/model.safetensors", "checkpoint-6/average.safetensors", "model/model.safetensors"):
        ours, theirs = load_file(folder / name), load_file(finished / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("state", ["", '{"global_step": 6'], ids=["empty", "torn"])
def test_a_checkpoint_killed_in_its_last_file_is_passed_over(finished, tmp_path, state):
    folder = tmp_path / "torn"
    shutil.copytree(finished, folder)
    (folder / "checkpoint-6/trainer_state.json").write_text(state)
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')
    shutil.copytree(finished / "checkpoint-6", folder / "checkpoint-kept")
    assert newest_checkpoint(folder) == folder / "checkpoint-3"
    run.train(folder, TINY, resume=True)
    assert [(e["step"], e.get("loss")) for e in journal.entries(folder)] == [
        (e["step"], e.get("loss")) for e in journal.entries(finished)
    ]
    assert (folder / "model/README.md").exists()


def test_a_run_killed_before_its_first_checkpoint_begins_anew(finished, tmp_path):
    folder = tmp_path / "young"
    folder.mkdir()
    shutil.copy(finished / "settings.json", folder)
    shutil.copy(finished / "log.jsonl", folder)
    run.train(folder, replace(TINY, steps=3), resume=True)
    ours, theirs = (journal.entries(path) for path in (folder, finished))
    assert [e["loss"] for e in ours if "loss" in e] == [e["loss"] for e in theirs if "loss" in e][:3]


def test_what_the_machine_lacks_is_said_at_once(tmp_path, monkeypatch):
    from dus.evaluation import sandbox

    def broken():
        raise sandbox.SandboxError("no sandbox here")

    monkeypatch.setattr(sandbox, "check", broken)
    with pytest.raises(TrainingError, match="no sandbox here; without programs: --task arithmetic,instructions,text"):
        run.train(tmp_path / "run", TINY)
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="accelerate: pip install"):
        run.train(tmp_path / "run", TINY)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_resumed_only_exports_again(finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "model")
    run.train(folder, TINY, resume=True)
    ours, theirs = (load_file(path / "model/model.safetensors") for path in (folder, finished))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert journal.entries(folder) == journal.entries(finished)


def test_the_log_has_losses_bounds_and_accuracies(finished):
    log = journal.entries(finished)
    assert [entry["step"] for entry in log if "loss" in entry] == [1, 2, 3, 4, 5, 6]
    measured = [entry for entry in log if "equations" in entry]
    assert [entry["step"] for entry in measured] == [3, 6]
    for entry in measured:
        for name in TASKS:
            assert entry[f"bound_{name}_1"] == pytest.approx(math.log(2048), abs=1.5)
    assert [entry["step"] for entry in log if "arithmetic_2" in entry] == [6]


def test_the_result_is_a_llada_checkpoint_of_the_averaged_weights(finished):
    import dus.denoisers

    folder = finished / "model"
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    expected = {"model_type": "llada", "d_model": 16, "n_layers": 2, "n_heads": 2, "mlp_hidden_size": 32}
    assert expected.items() <= config.items()
    assert (config["max_sequence_length"], config["weight_tying"], config["rope_theta"]) == (512, False, 10000.0)
    weights = load_file(folder / "model.safetensors")
    assert "model.transformer.blocks.1.ff_out.weight" in weights
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}
    assert torch.equal(weights["model.transformer.wte.weight"], weights["model.transformer.ff_out.weight"])
    loaded = dus.denoisers.load(folder, dtype="float32")
    assert loaded.mask_token_id == loaded.tokenizer.mask_token_id
    network = build(TINY.size, loaded.tokenizer, seed=0).eval()
    averaged = load_file(finished / "checkpoint-6/average.safetensors")
    network.load_state_dict({k: v.bfloat16() for k, v in averaged.items()}, strict=False)  # the head is tied
    canvas = torch.full((2, 9), loaded.mask_token_id)
    with torch.no_grad():
        ours = loaded.logits(canvas, read=torch.arange(9)).flatten(0, 1)
        theirs = masked_logits(network, canvas, canvas == loaded.mask_token_id)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_card_tells_what_was_done(finished):
    text = (finished / "model" / "README.md").read_text()
    assert "dus train --out DIR --steps 6 --decay 2 --seed 0" in text
    assert "6 steps of 512 tokens" in text
    for name in TASKS:
        assert f"| {name} | 1 | " in text
        assert f"| {name} | 2 | " not in text
    assert str(finished) not in text


def test_saving_replaces_an_older_result_as_a_whole(finished, tmp_path):
    import dus.denoisers

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "stale").touch()
    save_checkpoint(dus.denoisers.load(finished / "model", dtype="bfloat16"), folder, "a card")
    assert (folder / "README.md").read_text() == "a card"
    assert not (folder / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_attention_goes_both_ways(finished):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(finished / "tokenizer")
    network = build(TINY.size, tokenizer, seed=0).eval()
    tokens = torch.randint(4, 1000, (1, 12))
    other = tokens.clone()
    other[0, -1] = 4 + (other[0, -1] - 3) % 900
    with torch.no_grad():
        change = network(tokens).logits[0, 0] - network(other).logits[0, 0]
    assert change.abs().max() > 0


def test_the_end_token_is_learned_though_it_pads(finished):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(finished / "tokenizer")
    network = build(TINY.size, tokenizer, seed=0)
    assert network.model.embed_tokens.weight[tokenizer.eos_token_id].abs().sum() > 0
    network(torch.tensor([[tokenizer.eos_token_id, 5]])).logits.sum().backward()
    assert network.model.embed_tokens.weight.grad[tokenizer.eos_token_id].abs().sum() > 0


def test_the_loss_is_the_mean_of_the_rows_means(finished):
    from torch.nn.functional import cross_entropy
    from transformers import AutoTokenizer

    from dus.lab.training.data import Batches

    trainer = run.prepare(finished, TINY, finished / "checkpoint-6")
    tokenizer = AutoTokenizer.from_pretrained(finished / "tokenizer")
    batch = Batches(tokenizer, seed=1, tokens_per_batch=512).batch(0)
    network = trainer.model.eval()
    with torch.no_grad():
        logits = network(batch["tokens"].masked_fill(batch["masked"], tokenizer.mask_token_id)).logits
        rows = [
            cross_entropy(row_logits[masked], tokens[masked])
            for row_logits, tokens, masked in zip(logits, batch["tokens"], batch["masked"], strict=True)
        ]
        loss = trainer.compute_loss(network, batch)
    assert float(loss) == pytest.approx(float(torch.stack(rows).mean()), rel=0.02)


def test_what_cannot_be_started_or_resumed_gets_a_sentence(finished, tmp_path):
    with pytest.raises(TrainingError, match="holds no training run"):
        run.train(tmp_path / "none", TINY, resume=True)
    with pytest.raises(TrainingError, match="not empty"):
        run.train(finished, TINY)
    with pytest.raises(TrainingError, match="past 2 steps"):
        run.train(finished, replace(TINY, steps=2), resume=True)
    with pytest.raises(TrainingError, match="has seed 0"):
        run.train(finished, replace(TINY, seed=1), resume=True)
    with pytest.raises(TrainingError, match="holds no training run"):
        chosen(tmp_path, steps=None, decay=None, seed=None, tasks=None, size=None, resume=True)
    with pytest.raises(TrainingError, match="the sizes are bundled, base, dream"):
        chosen(tmp_path, steps=None, decay=None, seed=None, tasks=None, size="huge", resume=False)
    with pytest.raises(TrainingError, match="no task 'sums': the tasks are arithmetic, code"):
        chosen(tmp_path, steps=None, decay=None, seed=None, tasks=["sums"], size=None, resume=False)
    for shares in (["code=1", "text"], ["code=0", "text=1"], ["code=nan"], ["code=much"]):
        with pytest.raises(TrainingError, match="no task a share or all of them a positive number"):
            chosen(tmp_path, steps=None, decay=None, seed=None, tasks=shares, size=None, resume=False)
    with pytest.raises(TrainingError, match="cannot fall for 20 of 10 steps"):
        chosen(tmp_path, steps=10, decay=20, seed=None, tasks=None, size=None, resume=False)
    with pytest.raises(TrainingError, match="has tasks"):
        run.train(finished, replace(TINY, tasks=("code",)), resume=True)


def test_tasks_are_named_in_any_order_with_their_shares_or_without():
    options = {"steps": None, "decay": None, "seed": None, "size": None, "resume": False}
    some = chosen(Path(), tasks=["text=1.5", "arithmetic=.5"], **options)
    assert (some.tasks, some.shares) == (("arithmetic", "text"), (0.5, 1.5))
    assert of_fields(json.loads(json.dumps(asdict(some)))) == some
    assert chosen(Path(), tasks=["text", "arithmetic"], **options) == replace(some, shares=())


def test_a_resume_may_end_the_run_early(finished):
    settings = chosen(finished, steps=9, decay=3, seed=None, tasks=None, size=None, resume=True)
    assert settings == replace(TINY, steps=9, decay=3)
    assert chosen(finished, steps=None, decay=None, seed=5, tasks=None, size=None, resume=False) == TrainingSettings(
        seed=5
    )
    assert chosen(finished, steps=1000, decay=None, seed=None, tasks=None, size=None, resume=False).decay == 500
