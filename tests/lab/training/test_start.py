import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file

from dus.lab.training import run
from dus.lab.training.settings import TrainingError, TrainingSettings, chosen

from .tiny import TINY


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory, finished):
    """The folder of a tiny run on fewer tasks, begun with the weights of the unbroken one."""
    folder = tmp_path_factory.mktemp("runs") / "gone-on"
    run.train(folder, replace(TINY, tasks=("arithmetic",), start=str(finished), warmup=0, decay=6))
    return folder


def test_a_run_begins_with_the_weights_of_another(finished, gone_on, tmp_path):
    from transformers import AutoTokenizer

    settings = replace(TINY, tasks=("arithmetic",), start=str(finished))
    shutil.copytree(gone_on / "tokenizer", tmp_path / "tokenizer")
    begun = run.prepare(tmp_path, settings, None)
    theirs = load_file(finished / "checkpoint-6/average.safetensors")
    here, there = (AutoTokenizer.from_pretrained(folder / "tokenizer").get_vocab() for folder in (tmp_path, finished))
    assert here != there
    shared = here.keys() & there.keys()
    for name, weight in begun.model.named_parameters():
        assert torch.equal(weight, begun.average.weights[name])
        if name == "model.embed_tokens.weight":
            assert all(torch.equal(weight[here[text]], theirs[name][there[text]]) for text in shared)
            new = weight[[here[text] for text in here.keys() - shared]]
            assert float(new.detach().std()) == pytest.approx(float(theirs[name].std()), rel=0.1)
        else:
            assert torch.equal(weight, theirs[name])
    assert json.loads((tmp_path / "start.json").read_text())["tokens"] == len(shared)


def test_the_card_of_a_run_begun_with_another_names_both_commands(finished, gone_on, tmp_path):
    text = (gone_on / "model" / "README.md").read_text()
    first = "    dus train --out DIR1 --steps 6 --decay 2 --seed 0\n"
    assert first + "    dus train --out DIR --from DIR1 --steps 6 --decay 6 --seed 0 --task arithmetic\n" in text
    assert "(6 steps on arithmetic, code, instructions, text)" in text
    assert "are 10% of the rows. Held-out" in text
    assert str(finished) not in text
    third = tmp_path / "third"
    run.train(third, replace(TINY, tasks=("arithmetic",), start=str(gone_on), steps=1, decay=0))
    text = (third / "model" / "README.md").read_text()
    second = "    dus train --out DIR2 --from DIR1 --steps 6 --decay 6 --seed 0 --task arithmetic\n"
    assert first + second + "    dus train --out DIR --from DIR2 --steps 1 --decay 0" in text


def test_a_run_begun_with_another_resumes_where_it_was(gone_on, tmp_path):
    folder = tmp_path / "on"
    shutil.copytree(gone_on, folder)
    shutil.rmtree(folder / "checkpoint-6")
    settings = replace(
        chosen(folder, steps=None, decay=None, seed=None, tasks=None, size=None, resume=True),
        judged=1,
        judged_levels=(1,),
    )
    run.train(folder, settings, resume=True)
    ours, theirs = (load_file(path / "model/model.safetensors") for path in (folder, gone_on))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_start_that_cannot_be_gets_a_sentence(finished, tmp_path):
    options = {"steps": None, "decay": None, "seed": None, "tasks": None}
    with pytest.raises(TrainingError, match="holds no training run"):
        chosen(tmp_path, start=tmp_path, size=None, resume=False, **options)
    with pytest.raises(TrainingError, match="leave --from out"):
        chosen(finished, start=finished, size=None, resume=True, **options)
    with pytest.raises(TrainingError, match="is not of size base"):
        chosen(tmp_path, start=finished, size="base", resume=False, **options)
    shutil.copy(finished / "settings.json", tmp_path)
    with pytest.raises(TrainingError, match="has no checkpoint yet"):
        chosen(tmp_path / "new", start=tmp_path, size=None, resume=False, **options)


def test_a_start_that_is_gone_gets_a_sentence(finished, tmp_path):
    source, folder = tmp_path / "source", tmp_path / "run"
    shutil.copytree(finished, source)
    folder.mkdir()
    settings = replace(TINY, start=str(source))
    (folder / "settings.json").write_text(json.dumps(asdict(settings)))
    shutil.rmtree(source)
    with pytest.raises(TrainingError, match=r"begins with the one in .*, and no checkpoint is there"):
        run.train(folder, settings, resume=True)


def test_a_run_begun_with_another_has_lower_rates_that_fall_throughout(finished, tmp_path):
    options = {"decay": None, "seed": None, "tasks": None, "size": None, "resume": False}
    usual = chosen(tmp_path, start=finished, steps=None, **options)
    assert (usual.start, usual.size) == (str(finished), TINY.size)
    assert usual.matrix_lr < TrainingSettings().matrix_lr
    assert usual.warmup + usual.decay == usual.steps
    shorter = chosen(tmp_path, start=finished, steps=1000, **options)
    assert shorter.warmup + shorter.decay == 1000
