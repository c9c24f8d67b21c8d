"""Loading: what it gives, and one clear sentence for everything that can be wrong with a checkpoint."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

import dus
from dus.decoding import GenerationError
from dus.denoisers import Denoiser, DenoiserError, LladaForMaskedLM, MaskedLM, NativeLM, load
from dus.denoisers.arguments import fast_type, type_name


def edit(folder, **changes):
    """Change keys of config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not None or key not in changes}
    (folder / "config.json").write_text(json.dumps(kept))


def rewrite(folder, change):
    """Put the weights through `change`, a function from name to name (or None)."""
    file = folder / "model.safetensors"
    tensors = {change(name): tensor for name, tensor in load_file(file).items()}
    tensors.pop(None, None)
    save_file(tensors, file, metadata={"format": "pt"})


def add_tokenizer(folder, **special):
    words = ["<pad>", "<eos>", "<mask>", "one", "two", "<|eot_id|>"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.add_special_tokens({"additional_special_tokens": ["<|eot_id|>"]})
    fast.save_pretrained(folder)


def complaint(path, **options):
    """The message of the error that loading gives: one line, and nothing that looks like a traceback."""
    with pytest.raises(DenoiserError) as raised:
        load(path, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_a_loaded_denoiser_has(folder):
    denoiser = load(folder, device="cpu")
    assert isinstance(denoiser, Denoiser)
    assert type(denoiser) is NativeLM
    assert (denoiser.mask_token_id, denoiser.vocab_size, denoiser.eos_token_ids) == (2, 64, (4,))
    assert (denoiser.max_length, denoiser.shift, denoiser.tokenizer) == (96, 0, None)
    assert denoiser.device == torch.device("cpu")
    assert not denoiser.model.training


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux says there what its processor can do")
def test_the_fast_type_follows_the_processor():
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    assert fast_type("cpu") is (torch.bfloat16 if flags & {"avx512_bf16", "amx_bf16", "bf16"} else torch.float32)
    assert fast_type("cuda") is torch.bfloat16


def test_dtypes(folder):
    assert load(folder, device="cpu").dtype is fast_type("cpu")
    assert load(folder, device="cpu", dtype="float16").dtype is torch.float16
    denoiser = load(folder, device="cpu", dtype=torch.bfloat16)
    assert denoiser.logits(torch.zeros(1, 3, dtype=torch.long), read=torch.arange(3)).dtype is torch.bfloat16
    for wrong in ("float33", "int8", torch.int64):
        assert "is not a floating type" in complaint(folder, dtype=wrong)


def test_the_name_of_a_type_says_what_auto_comes_down_to(folder):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert type_name("auto", cpu, folder) == str(load(folder, device="cpu").dtype).removeprefix("torch.")
    assert type_name(torch.float16, gpu, folder) == type_name("half", cpu, folder) == "float16"
    edit(folder, dtype=None, torch_dtype="bfloat16")
    assert type_name("auto", gpu, folder) == "bfloat16"
    edit(folder, torch_dtype=None)
    assert type_name("auto", gpu, folder) == "auto"


def test_devices(folder):
    assert load(folder, device_map="cpu").device == torch.device("cpu")
    assert load(folder, device=torch.device("cpu")).device == torch.device("cpu")
    assert "is not a device" in complaint(folder, device="tpux")
    if not torch.cuda.is_available():
        assert "There is no device cuda:7 here" in complaint(folder, device="cuda:7")


def test_tokenizer_and_end_tokens(folder):
    add_tokenizer(folder, eos_token="<eos>", pad_token="<pad>")
    denoiser = load(str(folder), device="cpu")
    assert denoiser.tokenizer("one two")["input_ids"] == [3, 4]
    assert denoiser.eos_token_ids == (1, 4, 5)  # the tokenizer's, the configuration's, the end of turn


def test_where_the_mask_token_comes_from(folder):
    edit(folder, mask_token_id=None)
    assert "126336 is not in the vocabulary of 64" in complaint(folder)
    assert load(folder, mask_token_id=7).mask_token_id == 7
    add_tokenizer(folder, mask_token="<mask>")
    assert load(folder).mask_token_id == 2


def test_nothing_is_looked_up_in_the_network(folder, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("a local folder was looked up in the network")

    add_tokenizer(folder, eos_token="<eos>")
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert load(folder, device="cpu").tokenizer is not None


def test_importing_the_package_imports_no_torch():
    code = "import sys, dus; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_folders_and_files(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "There is no folder" in complaint(tmp_path / "nowhere")
    assert "There is no folder ./nowhere" in complaint("./nowhere")
    assert "is a file" in complaint(folder / "model.safetensors")
    assert "has no config.json" in complaint(tmp_path)
    (folder / "config.json").write_text("{")
    assert "is not valid JSON" in complaint(folder)
    (folder / "config.json").write_text("{}")
    assert "names no model_type" in complaint(folder)


def test_a_model_id_that_cannot_be_reached(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no network\nat all")

    monkeypatch.setattr("dus.denoisers.files.snapshot_download", unreachable)
    message = complaint("someone/something")
    assert "neither a folder here nor a model" in message
    assert message.endswith("no network")


def test_a_model_id_is_fetched_without_pickles(folder, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "dus.denoisers.files.snapshot_download", lambda name, **kw: asked.update(kw, name=name) or folder
    )
    load("someone/something", revision="v1", device="cpu")
    assert (asked["name"], asked["revision"]) == ("someone/something", "v1")
    assert not {"*.bin", "*.pt", "*.py", "*"} & set(asked["allow_patterns"])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_pickles_are_refused(folder, name):
    (folder / "model.safetensors").unlink()
    assert "has no weights" in complaint(folder)
    torch.save({}, folder / name)
    message = complaint(folder)
    assert name in message
    assert "save_file(torch.load(" in message


def test_damaged_weights(folder, tmp_path):
    whole = (folder / "model.safetensors").read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        (folder / "model.safetensors").write_bytes(whole[:length])
        assert "is damaged or incomplete" in complaint(folder)


def test_a_missing_shard(folder):
    load(folder, device="cpu").model.save_pretrained(folder / "shards", max_shard_size="20KB")
    sorted((folder / "shards").glob("*.safetensors"))[1].unlink()
    assert "cannot be loaded" in complaint(folder / "shards")


def test_missing_weights_are_never_made_up(folder):
    rewrite(folder, lambda name: None if "blocks.1.q_proj" in name else name)
    assert "lack model.layers.1.self_attn.q_proj.weight" in complaint(folder)


def test_unknown_weights_are_refused(folder):
    rewrite(folder, lambda name: name.replace("blocks.1.", "blocks.5."))
    assert "and 6 more" in complaint(folder)
    rewrite(folder, lambda name: name.replace("blocks.5.", "blocks.1."))
    load(folder, device="cpu")
    edit(folder, n_layers=1)
    assert "model.layers.1." in complaint(folder)


def test_weights_of_another_size(folder):
    edit(folder, mlp_hidden_size=64)
    message = complaint(folder)
    assert "do not fit its config.json: model.layers.0.mlp.down_proj.weight [32, 48] for [32, 64]" in message
    assert "and 3 more" in message


def test_configurations_that_cannot_be(folder):
    edit(folder, alibi=True)
    assert "LLaDA with alibi=True is not supported" in complaint(folder)
    edit(folder, alibi=False, n_heads="two")
    assert "cannot be loaded" in complaint(folder)
    edit(folder, n_heads=5)
    assert "do not fit" in complaint(folder)


def test_options_that_do_not_exist(folder):
    assert "cannot be loaded" in complaint(folder, attn_implementation="attention_of_the_future")


def test_a_broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")
    assert "tokenizer" in complaint(folder)


def test_unknown_families(folder):
    edit(folder, model_type="unheard-of")
    message = complaint(folder)
    for word in ("'unheard-of'", "'llada'", "'Dream'", "trust_remote_code=True"):
        assert word in message
    assert "auto_map" in complaint(folder, trust_remote_code=True)


REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

class MyConfig(PretrainedConfig):
    model_type = "mine"

class MyModel(PreTrainedModel):
    config_class = MyConfig
    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, config.vocab_size)
        self.post_init()
    def forward(self, input_ids, **kwargs):
        table = self.table(input_ids)
        return MaskedLMOutput(logits=table + table.mean(dim=1, keepdim=True))
"""


@pytest.mark.parametrize("auto", ["AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModel"])
def test_code_that_a_checkpoint_brings(tmp_path, auto):
    (tmp_path / "mine.py").write_text(REMOTE)
    auto_map = {"AutoConfig": "mine.MyConfig", auto: "mine.MyModel"}
    config = {"model_type": "mine", "vocab_size": 16, "auto_map": auto_map, "mask_token_id": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"table.weight": torch.randn(16, 16)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "trust_remote_code=True" in complaint(tmp_path)
    denoiser = load(tmp_path, trust_remote_code=True, dtype="float32", device="cpu")
    assert type(denoiser) is MaskedLM
    assert (denoiser.mask_token_id, denoiser.vocab_size, denoiser.max_length) == (3, 16, None)
    check_rows_are_independent(denoiser)
    shifted = load(tmp_path, trust_remote_code=True, dtype="float32", device="cpu", shift=1)
    canvas, read = torch.arange(8)[None], torch.arange(8)
    moved = denoiser.logits(canvas, read=(read - 1).clamp_min(0))
    assert torch.equal(shifted.logits(canvas, read=read), moved)
    check_rows_are_independent(shifted)


def test_the_authors_code_stays_loadable_beside_ours(folder):
    """Trusted, a folder of a family known here still runs its own code in plain transformers, and ours in `load`."""
    code = REMOTE.replace('"mine"', '"llada"').replace("config.vocab_size, config.vocab_size", "4, 4")
    (folder / "mine.py").write_text(code)
    edit(folder, auto_map={"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyModel"})
    assert type(AutoModelForMaskedLM.from_pretrained(folder)) is LladaForMaskedLM
    theirs = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(theirs).__name__ == "MyModel"
    assert type(load(folder, device="cpu", trust_remote_code=True).model) is LladaForMaskedLM
    assert type(AutoModelForMaskedLM.from_pretrained(folder)) is LladaForMaskedLM


def test_masked_lms_of_transformers(tmp_path):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    assert "pass mask_token_id" in complaint(tmp_path)
    denoiser = load(tmp_path, dtype="float32", device="cpu", mask_token_id=3)
    check_rows_are_independent(denoiser)
    with pytest.raises(DenoiserError, match="takes no key and value cache"):
        denoiser.logits(torch.zeros(1, 2, dtype=torch.long), read=torch.arange(2), cache=object())


def test_positions_that_are_kept_for_padding_are_no_context():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=16, max_position_embeddings=34, **sizes)
    denoiser = MaskedLM(RobertaForMaskedLM(config), mask_token_id=3)
    assert denoiser.max_length == 32
    dus.generate(denoiser, torch.full((1, 16), 5), max_new_tokens=16)
    with pytest.raises(GenerationError, match="32"):
        dus.generate(denoiser, torch.full((1, 16), 5), max_new_tokens=17)


def check_rows_are_independent(denoiser):
    """Padded rows give what they give alone, whether or not the model knows of padding."""
    rows = [torch.arange(1, 9), torch.arange(4, 7), torch.arange(9, 12)]
    canvas, mask = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, 8, dtype=torch.bool)
    for i, row in enumerate(rows):
        canvas[i, 8 - len(row) :], mask[i, 8 - len(row) :] = row, True
    together = denoiser.logits(canvas, read=torch.tensor([7, 5]), attention_mask=mask)
    each = denoiser.logits(canvas, read=torch.tensor([[7, 5]] * 3), attention_mask=mask)
    assert torch.equal(together, each)
    for i, row in enumerate(rows):
        alone = denoiser.logits(row[None], read=torch.tensor([len(row) - 1, len(row) - 3]))
        torch.testing.assert_close(together[i], alone[0], atol=1e-6, rtol=1e-6)


def test_a_model_without_logits(tmp_path):
    (tmp_path / "mine.py").write_text(REMOTE.replace("return MaskedLMOutput", "return dict"))
    config = {"model_type": "mine", "vocab_size": 8, "mask_token_id": 3}
    config["auto_map"] = {"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyModel"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"table.weight": torch.randn(8, 8)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "returns no logits row for each token" in complaint(tmp_path, trust_remote_code=True, device="cpu")


def test_an_installation_without_the_bundled_model(monkeypatch, tmp_path):
    monkeypatch.setattr("dus.denoisers.files.resources.files", lambda package: tmp_path)
    assert "lacks the bundled model" in complaint(None)


def test_the_bundled_model(monkeypatch, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "assets" / "bundled")
    monkeypatch.setattr("dus.denoisers.files.resources.files", lambda package: tmp_path)
    assert load(device="cpu").vocab_size == 64


def test_loading_prints_nothing():
    code = "import dus; dus.load(device='cpu')"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("", "")
