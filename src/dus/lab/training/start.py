"""A run that begins with the weights of another one: what that one can do is kept while more is learned."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dus.lab.training.folder import newest_checkpoint
from dus.lab.training.settings import Settings, of_fields, stored_settings
from dus.writing.files import write

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from dus.lab.training.trainer import DenoiserTrainer

FILE = "start.json"
EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True)
class Start:
    """What a run began with: the last of `runs`, each of which began with the one before it.

    `tokens` tokens are in the vocabulary of both, and kept their vectors.
    """

    runs: tuple[Settings, ...]
    tokens: int


def begin(run: DenoiserTrainer, source: Path, vocabulary: PreTrainedTokenizerFast, seed: int) -> Start:
    """Gives `run` the averaged weights of the run in the folder `source`.

    Vocabularies differ where the tasks do: a token whose text is in both keeps its vector, every other one gets random
    values (by `seed`) with the standard deviation of those. `source` has a checkpoint of a network of the same size.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    from dus.lab.training.trainer import AVERAGE_NAME

    checkpoint = newest_checkpoint(source)
    assert checkpoint is not None, "settings.begun_from has looked"
    weights = load_file(checkpoint / AVERAGE_NAME)
    known = AutoTokenizer.from_pretrained(source / "tokenizer").get_vocab()
    shared = [(here, known[text]) for text, here in vocabulary.get_vocab().items() if text in known]
    here, there = torch.tensor(shared).T
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            if name == EMBEDDING:
                drawn = torch.Generator().manual_seed(seed)
                weight = torch.empty(parameter.shape).normal_(0.0, float(weights[name].std()), generator=drawn)
                weight[here] = weights[name][there]
                parameter.copy_(weight)
            else:
                parameter.copy_(weights[name])
            run.average.weights[name].copy_(parameter)
    before = read(source)
    return Start((*(before.runs if before else ()), stored_settings(source)), len(shared))


def save(folder: Path, start: Start) -> None:
    """Writes down in `folder` what its run began with."""
    write(folder / FILE, json.dumps(asdict(start), indent=1))


def read(folder: Path) -> Start | None:
    """What the run in `folder` began with; None where that was random weights."""
    file = folder / FILE
    if not file.exists():
        return None
    fields = json.loads(file.read_text())
    return Start(tuple(of_fields(run) for run in fields["runs"]), fields["tokens"])
