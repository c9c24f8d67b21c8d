"""The Python on the pages runs as it stands, and prints what the pages say that it prints."""

from importlib import resources

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForMaskedLM

import dus
from dus import decoding, planners
from dus.denoisers import files

from .pages import DOCS, PAGES, ROOT, name, run, with_python

APART = {ROOT / "README.md", DOCS / "guides/your-own-model.md", DOCS / "concepts/design.md"}
BUNDLED = str(resources.files("dus") / "assets" / "bundled")
ELSEWHERE = {DOCS / "guides/serving.md"}  # tests/serving runs it beside a server


@pytest.fixture(scope="module")
def model():
    return dus.load(pack=False)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """In place of what the hub has under any id: the bundled model."""
    monkeypatch.setattr(files, "snapshot_download", lambda *_, **__: BUNDLED)


@pytest.fixture
def adapter(model, tmp_path, monkeypatch):
    """The folders of an adapter that a page names, in the current one."""
    monkeypatch.chdir(tmp_path)
    network = AutoModelForMaskedLM.from_pretrained(BUNDLED)
    adapted = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj"]))
    for folder in ("folder-of-an-adapter", "folder-or-hub-id"):
        adapted.save_pretrained(tmp_path / folder)


def test_the_python_in_the_readme_runs():
    assert "#### 12" in run(ROOT / "README.md")


@pytest.mark.parametrize("page", [page for page in with_python(PAGES) if page not in APART | ELSEWHERE], ids=name)
def test_the_python_on_a_page_runs(page):
    run(page)


def test_the_sketches_of_the_contracts_run(model):
    tokens = torch.tensor(model.tokenizer("Give me three different colours.").input_ids)
    known = {**vars(planners), **vars(decoding), "Tensor": Tensor, "model": model, "tokens": tokens}
    run(DOCS / "concepts/design.md", known=known)


def test_the_python_on_the_page_about_models_runs(model, adapter):
    instead = [("126336", str(model.mask_token_id)), ("126464", str(model.vocab_size))]
    instead += [("[126081]", str(list(model.eos_token_ids))), ('0: "20GiB", ', "")]  # there need not be a GPU
    known = {"dus": dus, "network": model.model, "tokenizer": model.tokenizer, "folder": "bundled"}
    run(DOCS / "guides/your-own-model.md", known=known, instead=instead)
