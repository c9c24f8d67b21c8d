"""A small checkpoint with random weights and a tokenizer of bytes, and the console script called in this process."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dus.cli import main
from dus.denoisers import LladaConfig, LladaForMaskedLM
from dus.denoisers.sdar import SdarConfig, SdarForMaskedLM

END, MASK = "<|end|>", "<|mask|>"
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }} {% endfor %}"


def byte_tokenizer(chat_template=None):
    """One token for each byte, the end token 0 and the mask token 1."""
    letters = [END, MASK, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, mask_token=MASK, chat_template=chat_template
    )


SIZES = {
    "vocab_size": 258,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.5,
    "mask_token_id": 1,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


def save(folder, chat_template=None, config=LladaConfig, model=LladaForMaskedLM, **more):
    torch.manual_seed(0)
    model(config(**SIZES, **more)).save_pretrained(folder)
    byte_tokenizer(chat_template).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The folder of a model without a chat template."""
    return save(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="session")
def chat_checkpoint(tmp_path_factory):
    """The same model with a chat template."""
    return save(tmp_path_factory.mktemp("chat") / "model", TEMPLATE)


@pytest.fixture(scope="session")
def block_causal_checkpoint(tmp_path_factory):
    """The folder of an SDAR whose blocks have four tokens."""
    folder = tmp_path_factory.mktemp("sdar") / "model"
    more = {"num_key_value_heads": 2, "head_dim": 16, "block_length": 4}
    return save(folder, config=SdarConfig, model=SdarForMaskedLM, **more)


@pytest.fixture
def dus(capsys, monkeypatch):
    """Calls the console script's function: arguments to exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def good(dus):
    """Calls it and returns the standard output of a call that has to succeed."""

    def call(*arguments):
        code, out, err = dus(*arguments)
        assert code == 0, err
        return out

    return call
