"""What `load` is told beside the checkpoint: the hub's arguments, older names, places, and nothing unknown."""

import inspect
import os

import pytest
import torch
from transformers import GPT2Config

import dus
from dus.denoisers import DenoiserError, load
from dus.denoisers.arguments import HUB, PASSED, place_of
from dus.denoisers.model import activation_width

READ = torch.arange(10)
CANVAS = torch.arange(20).view(2, 10)


def complaint(path, **options):
    with pytest.raises(DenoiserError) as raised:
        load(path, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """What the hub's client was asked for; it gives `folder`, also under the name `deep/down`."""
    (tmp_path / "repository" / "deep").mkdir(parents=True)
    os.symlink(folder, tmp_path / "repository" / "deep" / "down")
    asked = {}

    def fetch(name, **told):
        proxies = {key: os.environ.get(key) for key in ("https_proxy", "http_proxy")}
        asked.update(told, name=name, **proxies)
        return tmp_path / "repository" if "deep/down/*.json" in told["allow_patterns"] else folder

    monkeypatch.setattr("dus.denoisers.files.snapshot_download", fetch)
    return asked


def test_arguments_reach_the_hub(hub, tmp_path):
    said = {"token": "hf_x", "cache_dir": tmp_path, "local_files_only": True, "force_download": True}
    load("someone/something", device="cpu", subfolder="deep/down", proxies={"https": "http://there:1"}, **said)
    assert {name: hub[name] for name in said} == said
    assert (hub["https_proxy"], "https_proxy" in os.environ) == ("http://there:1", False)
    assert all(pattern.startswith("deep/down/") for pattern in hub["allow_patterns"])


def test_what_only_a_hub_id_has_is_refused_for_a_folder(folder):
    assert "revision='v1' is of a hub id" in complaint(folder, revision="v1")
    assert "force_download=True is of a hub id" in complaint(folder, force_download=True)
    assert "revision='v1' is of a hub id" in complaint(None, revision="v1")
    load(folder, device="cpu", token="hf_x", cache_dir="anywhere", local_files_only=True)
    assert load(folder.parent, device="cpu", subfolder=folder.name).vocab_size == 64
    assert "has no folder elsewhere in it" in complaint(folder, subfolder="elsewhere")


def test_proxies_are_of_kinds_of_requests(hub):
    assert "not of 'ftp'" in complaint("someone/something", proxies={"ftp": "there"})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_option", "known are dtype"),
        ("atn_implementation", "did you mean attn_implementation?"),
        ("load_in_4bit", "say quantization_config=BitsAndBytesConfig"),
        ("use_auth_token", "it is called token"),
        ("use_safetensors", "from safetensors alone"),
        ("load_in_8bit", "say quantization_config=BitsAndBytesConfig"),
        ("gguf_file", "GGUF files are not read"),
        ("config", "edit config.json"),
        ("low_cpu_mem_usage", "transformers 5 always loads that way"),
    ],
)
def test_unknown_arguments_are_refused_by_name(folder, name, told):
    message = complaint(folder, **{name: True})
    assert message.startswith(f"load takes no {name}: ")
    assert told in message
    assert "load takes no" in complaint("someone/something", **{name: True})  # before anything is fetched


def test_all_arguments_are_named_where_one_is_unknown(folder):
    message = complaint(folder, zzz=1)
    own = inspect.signature(load).parameters.keys() - {"path_or_hub_id", "model_kwargs"}
    listed = set(message.removesuffix(".").partition("known are ")[2].split(", "))
    assert listed == own | {"torch_dtype", *HUB, *PASSED}


def test_torch_dtype_is_dtype(folder):
    for name in ("dtype", "torch_dtype"):
        for value in (torch.float16, "float16"):
            assert load(folder, device="cpu", **{name: value}).dtype is torch.float16
    assert load(folder, device="cpu", dtype="float32", torch_dtype=torch.float32).dtype is torch.float32
    assert "differ: say dtype alone" in complaint(folder, dtype="float32", torch_dtype=torch.float16)
    assert "is not a floating type" in complaint(folder, torch_dtype="int8")


def test_a_model_that_is_partly_on_disk_decodes_as_one_in_memory(folder, tmp_path):
    places = {"model.embed_tokens": "disk", "model.rotary_emb": "cpu", "model.layers.0": "cpu"}
    places |= {"model.layers.1": "disk", "model.norm": "cpu", "lm_head": "cpu"}
    split = load(folder, dtype="float32", device_map=places, offload_folder=tmp_path / "offloaded")
    whole = load(folder, dtype="float32", device="cpu")
    assert split.model.model.layers[1].mlp.up_proj.weight.device.type == "meta"
    assert split.device == torch.device("cpu")
    torch.testing.assert_close(split.logits(CANVAS, read=READ), whole.logits(CANVAS, read=READ), atol=1e-5, rtol=1e-5)
    for cache in ("none", "block"):
        asked = {"max_new_tokens": 16, "block_length": 8, "cache": cache}
        told = [dus.generate(model, CANVAS, **asked).tokens for model in (split, whole)]
        assert all(map(torch.equal, *told))


def test_places_that_cannot_be(folder):
    assert "where they hold no numbers" in complaint(folder, device_map={"": "meta"})
    assert "There is no device meta" in complaint(folder, device_map="meta")
    assert "is not a device" in complaint(folder, device_map={"model": "cpu", "lm_head": "nowhere"})
    assert "say the same twice" in complaint(folder, device="cpu", device_map="cpu")
    if not torch.accelerator.is_available():
        assert place_of({"model": "disk", "lm_head": "cpu"}) == torch.device("cpu")
        assert "There is no device cuda:3" in complaint(folder, device_map={"model": "cpu", "lm_head": "cuda:3"})


def test_a_configuration_without_a_width_leaves_it_to_the_matrices():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.up = torch.nn.Embedding(100, 8), torch.nn.Linear(8, 32)
            self.config = GPT2Config(n_embd=24)

    network = Network()
    assert activation_width(network) == 5 * 24 + 16 * 24  # GPT-2 calls it otherwise
    del network.config
    network.config = type("Bare", (), {})()
    assert activation_width(network) == 5 * 8 + 16 * 8
