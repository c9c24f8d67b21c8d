"""What a run of `dus.lab.language.train` writes: weights in small files, and the state to resume from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from dus.lab.language.muon import BatchedMuon

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
    file: Path,
    network: PreTrainedModel,
    average: list[Tensor],
    muon: BatchedMuon,
    adamw: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> None:
    """Writes the weights, their average, both optimizers' moments, the step and the seconds spent into one file."""
    state = {f"weight.{name}": p.detach() for name, p in network.named_parameters()}
    state |= {f"average.{number}": weight for number, weight in enumerate(average)}
    state |= {f"muon.{number}": buffer for number, buffer in enumerate(muon.buffers)}
    for number, moments in adamw.state_dict()["state"].items():
        state |= {f"adamw.{number}.{name}": value for name, value in moments.items()}
    _replace(state, file, {"step": str(step), "seconds": str(seconds)})


def load_state(
    file: Path, network: PreTrainedModel, average: list[Tensor], muon: BatchedMuon, adamw: torch.optim.Optimizer
) -> tuple[int, float]:
    """Takes back what `save_state` wrote; the step and the seconds."""
    state = load_file(file)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(state[f"weight.{name}"])
        for number, weight in enumerate(average):
            weight.copy_(state[f"average.{number}"])
        for number, buffer in enumerate(muon.buffers):
            buffer.copy_(state[f"muon.{number}"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("adamw."):
            _, place, name = key.split(".")
            moments.setdefault(int(place), {})[name] = value
    adamw.load_state_dict({"state": moments, "param_groups": adamw.state_dict()["param_groups"]})
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    return int(metadata["step"]), float(metadata["seconds"])


def _replace(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    partial = file.with_name(file.name + ".partial")
    save_file(tensors, partial, metadata)
    partial.replace(file)
