"""What a run of `dus.lab.language.train` writes, the state to resume from, and a checkpoint for `dus.load`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from dus.lab.language.corpus import HELD_OUT_EVERY, SOURCES
from dus.lab.training.model import Size, as_checkpoint, build, save_checkpoint
from dus.writing.tables import filled, markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from dus.lab.training.optimizer import MuonAdamW

FILE_BYTES = 15_000_000


def save_weights(network: PreTrainedModel, size: dict[str, Any], out: Path) -> None:
    """Writes `weights-1.safetensors`, … of at most 15 MB each, with the network's size in every file's metadata."""
    files: list[dict[str, Tensor]] = [{}]
    room = FILE_BYTES
    for name, parameter in network.named_parameters():
        weight = parameter.detach().to("cpu", torch.bfloat16).contiguous()
        if weight.nbytes > room and files[-1]:
            files.append({})
            room = FILE_BYTES
        files[-1][name] = weight
        room -= weight.nbytes
    for number, weights in enumerate(files, 1):
        _replace(weights, out / f"weights-{number}.safetensors", {"size": json.dumps(size)})


def load_weights(out: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights that `save_weights` wrote, and the size; FileNotFoundError where there are none."""
    weights: dict[str, Tensor] = {}
    size: dict[str, Any] = {}
    for file in sorted(out.glob("weights-*.safetensors")):
        weights |= load_file(file)
        with safe_open(file, "pt") as opened:
            size = json.loads(opened.metadata()["size"])
    if not weights:
        raise FileNotFoundError(f"{out} holds no weights-*.safetensors of a training run")
    return weights, size


def save_state(
    file: Path, network: PreTrainedModel, average: list[Tensor], optimizer: MuonAdamW, step: int, seconds: float
) -> None:
    """Writes the weights, their average, the optimizer's moments, the step and the seconds spent into one file."""
    state = {f"weight.{name}": p.detach() for name, p in network.named_parameters()}
    state |= {f"average.{number}": weight for number, weight in enumerate(average)}
    for part, held in enumerate(optimizer.state_dict()["parts"]):
        for number, moments in held["state"].items():
            state |= {f"moment.{part}.{number}.{name}": value for name, value in moments.items()}
    _replace(state, file, {"step": str(step), "seconds": str(seconds)})


def load_state(file: Path, network: PreTrainedModel, average: list[Tensor], optimizer: MuonAdamW) -> tuple[int, float]:
    """Takes back what `save_state` wrote; the step and the seconds.

    Raises:
        ValueError: The file has no moments of this optimizer, as one of an earlier version.
    """
    state = load_file(file)
    if not any(key.startswith("moment.") for key in state):
        raise ValueError(f"{file} has no moments of this optimizer: begin the run anew, without this file")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(state[f"weight.{name}"])
        for number, weight in enumerate(average):
            weight.copy_(state[f"average.{number}"])
    held = optimizer.state_dict()
    for key, value in state.items():
        if key.startswith("moment."):
            _, part_at, number_at, name = key.split(".")
            held["parts"][int(part_at)]["state"].setdefault(int(number_at), {})[name] = value
    optimizer.load_state_dict(held)
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    return int(metadata["step"]), float(metadata["seconds"])


def _replace(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    partial = file.with_name(file.name + ".partial")
    save_file(tensors, partial, metadata)
    partial.replace(file)


PAIRS = (
    "GSM8K (Cobbe et al., 2021), training questions and solutions",
    "MIT",
    "github.com/openai/grade-school-math",
    "",
)


def card(out: Path, data: Path, size: Mapping[str, Any], parameters: int, vocabulary: int) -> str:
    """The model card: sources and licences from `data`, and what the last line of the log in `out` says."""
    listed = json.loads((data / SOURCES).read_text(encoding="utf-8"))
    rows = [(each["title"], each["licence"], each["from"], f"{each['characters']:,}") for each in listed]
    last = json.loads((out / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return filled(
        Path(__file__).with_name("card.md"),
        parameters=parameters,
        vocabulary=vocabulary,
        sources=markdown(("text", "licence", "from", "characters"), [PAIRS, *rows]),
        every=HELD_OUT_EVERY,
        steps=last["step"],
        tokens=last["tokens"],
        hours=last["seconds"] / 3600,
        bounds=", ".join(f"{name} {last[name]:.2f}" for name in ("answers", "questions", "prose")),
        **{name: size[name] for name in ("width", "layers", "heads", "mlp")},
    )


def write(out: Path, data: Path, folder: Path) -> None:
    """Writes config, weights, tokenizer and card into `folder`; the embedding is stored once, being the head too.

    Raises:
        FileNotFoundError: There are no weights in `out`, or no tokenizer or sources in `data`.
    """
    weights, size = load_weights(out)
    words = AutoTokenizer.from_pretrained(data / "tokenizer")
    network = build(Size(**size), words, seed=0)
    named = dict(network.named_parameters())
    missing = named.keys() ^ weights.keys()
    if missing:
        raise ValueError(f"the weights in {out} are not whole: {', '.join(sorted(missing)[:3])}")
    for name, parameter in named.items():
        parameter.data.copy_(weights[name])
    parameters = sum(parameter.numel() for parameter in named.values())
    save_checkpoint(as_checkpoint(network, words, tied=True), folder, card(out, data, size, parameters, len(words)))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
