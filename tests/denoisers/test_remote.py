"""Code that checkpoints bring: refused where it needs a mask that nobody gives it, or another transformers."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from dus.denoisers import DenoiserError, MaskedLM, NativeLM, load
from dus.denoisers.known import UNSUPPORTED

from .test_families import tiny

CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

class TheirConfig(PretrainedConfig):
    model_type = "theirs"

class TheirModel(PreTrainedModel):
    config_class = TheirConfig
    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, config.vocab_size)
        self.post_init()
    def forward(self, input_ids, attention_mask=None, **kwargs):
        columns = torch.arange(input_ids.shape[1])
        seen = SEEN
        seen = seen / seen.sum(dim=1, keepdim=True)
        return MaskedLMOutput(logits=seen @ self.table(input_ids))
"""
FULL = "torch.ones(len(columns), len(columns))"
CAUSAL = "(columns[:, None] >= columns).float()"
BLOCKS = "(columns[:, None] // {0} >= columns // {0}).float()"


@pytest.fixture
def theirs(tmp_path):
    """A function that writes a checkpoint with code of its own, and says what loading it gives."""

    def write(code, **config):
        (tmp_path / "theirs.py").write_text(code)
        auto_map = {"AutoConfig": "theirs.TheirConfig", "AutoModel": "theirs.TheirModel"}
        told = {"model_type": "theirs", "vocab_size": 16, "auto_map": auto_map, "mask_token_id": 3, **config}
        (tmp_path / "config.json").write_text(json.dumps(told))
        weights = {"table.weight": torch.randn(16, 16, generator=torch.Generator().manual_seed(0))}
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return write


def complaint(path):
    with pytest.raises(DenoiserError) as raised:
        load(path, trust_remote_code=True, device="cpu", dtype="float32")
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("seen", "how"), [(CAUSAL, "causally"), *((BLOCKS.format(n), "in blocks") for n in (4, 32, 64))]
)
def test_a_model_that_sees_nothing_behind_is_refused(theirs, seen, how):
    message = complaint(theirs(CODE.replace("SEEN", seen)))
    assert f"(theirs) brings attends {how} where it is given no mask" in message
    assert "from_callable" in message


@pytest.mark.parametrize("positions", [None, 3, 5, 128])
def test_a_model_that_sees_all_is_not(theirs, positions):
    length = {} if positions is None else {"max_position_embeddings": positions}
    denoiser = load(theirs(CODE.replace("SEEN", FULL), **length), trust_remote_code=True, device="cpu", dtype="float32")
    assert type(denoiser) is MaskedLM
    assert denoiser.max_length == positions


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "from transformers.pytorch_utils import find_pruneable_heads_and_something",
            "ImportError: cannot import name",
        ),
        ("ROPE = {}['default']", "KeyError: 'default'"),
        ("no_such_name()", "NameError"),
        ("torch.no_such_attribute", "AttributeError"),
    ],
)
@pytest.mark.parametrize("where", ["import", "forward"])
def test_code_for_another_transformers_says_so_in_a_sentence(theirs, line, said, where):
    code = CODE.replace("SEEN", FULL)
    code = (
        f"{code}\n{line}\n"
        if where == "import"
        else code.replace("        columns =", f"        {line}\n        columns =")
    )
    message = complaint(theirs(code, transformers_version="4.46.3"))
    assert "says transformers 4.46.3) fails under transformers 5." in message
    assert said in message


@pytest.mark.parametrize("model_type", UNSUPPORTED)
def test_models_that_are_known_not_to_work_are_refused_by_name(theirs, model_type):
    path = theirs(CODE.replace("SEEN", FULL), model_type=model_type)
    assert complaint(path).startswith(f"Models of the model_type {model_type!r} are not supported: ")


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM])
@pytest.mark.parametrize("family", ["llada", "llada2_moe", "Dream", "sdar", "Fast_dLLM_Qwen"])
def test_authors_code_of_every_family_stays_loadable_beside_ours(family, auto, tmp_path):
    tiny(family).save_pretrained(tmp_path)
    (tmp_path / "theirs.py").write_text(CODE.replace("SEEN", FULL).replace('"theirs"', repr(family)))
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "theirs.TheirConfig", auto.__name__: "theirs.TheirModel"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    theirs = auto.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(theirs).__name__ == "TheirModel"
    assert type(theirs.config).__name__ == "TheirConfig"
    assert type(load(tmp_path, device="cpu", trust_remote_code=True)) is NativeLM
    ours = AutoModelForMaskedLM.from_pretrained(tmp_path, trust_remote_code=False)
    assert type(ours).__module__.startswith("dus.denoisers")
