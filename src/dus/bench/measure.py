"""One benchmark: the textbook loop, `generate` in each cache mode, and the bare forwards, in one run."""

from __future__ import annotations

import platform
import resource
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from dus.bench.textbook import textbook
from dus.bench.timing import Watched, WatchedPlanner, now, side_by_side
from dus.decoding import generate
from dus.denoisers import Checkpoint
from dus.planners import Planner, parse


@dataclass(frozen=True)
class Setting:
    """What is generated, from prompts of random tokens.

    Attributes:
        planner: its text; for the textbook loop one that does not revise.
        batch: rows generated together.
        prompt: tokens of each prompt.
        new: tokens generated for each.
        block_length: positions of a block.
        repeats: rounds of which the median is taken.
    """

    planner: str = "dus"
    batch: int = 1
    prompt: int = 256
    new: int = 256
    block_length: int = 32
    repeats: int = 5


class Bench:
    """Times ways to generate the same, side by side.

    Args:
        model: a checkpoint.
        setting: what to generate.
    """

    def __init__(self, model: Checkpoint, setting: Setting) -> None:
        self.model, self.setting = model, setting
        drawn = torch.Generator().manual_seed(0)
        self.prompts = list(torch.randint(2, model.vocab_size, (setting.batch, setting.prompt), generator=drawn))

    def run(self, caches: list[str], *, with_textbook: bool = True) -> dict[str, Any]:
        """Time all ways in rounds.

        Returns:
            `setting`, `machine`, and `lines`: for each way its `name`, the `seconds` of a generation (median),
            `tokens_per_second`, `nfe` of a row, `tpf`, `agreement` (the share of its tokens that equal those of the
            first line); and for cache modes `first_block` (seconds), `over_floor` (seconds over those of the bare
            forwards), and the shares `denoiser`, `planner` and `rest` of the time of one watched run.
        """
        ways: dict[str, Any] = {"textbook": self._textbook} if with_textbook else {}
        ways |= {cache: partial(self.tokens, cache) for cache in caches}
        tokens = {name: way() for name, way in ways.items()}  # warms up as well
        insides = {cache: self._inside(cache) for cache in caches}
        floors = {f"floor of {cache}": inside.pop("replay") for cache, inside in insides.items()}
        seconds = side_by_side({**ways, **floors}, self.setting.repeats)
        first = next(iter(tokens.values()))
        lines = []
        for name in ways:
            line = {"name": name, "seconds": seconds[name], "agreement": _agreement(tokens[name], first)}
            line["tokens_per_second"] = self.setting.batch * self.setting.new / seconds[name]
            if name in insides:
                line |= insides[name] | {"over_floor": seconds[name] / seconds[f"floor of {name}"]}
            lines.append(line)
        return {"setting": asdict(self.setting), "machine": machine(self.model), "lines": lines}

    def tokens(self, cache: str, *, model: Any = None, planner: Planner | None = None) -> list[Tensor]:
        """What `generate` gives in a cache mode."""
        return generate(
            model or self.model,
            self.prompts,
            planner=planner or self.setting.planner,
            max_new_tokens=self.setting.new,
            block_length=self.setting.block_length,
            cache=cache,  # type: ignore[arg-type]
            eos="ignore",
            scores=False,
        ).tokens

    def _textbook(self) -> list[Tensor]:
        setting = self.setting
        planner = parse(setting.planner)
        return textbook(self.model, self.prompts, planner, new=setting.new, block_length=setting.block_length)

    def _inside(self, cache: str) -> dict[str, Any]:
        """Where the time of a run goes, and its bare forwards to be replayed."""
        watched, planner = Watched(self.model), WatchedPlanner(parse(self.setting.planner))
        began = now()
        self.tokens(cache, model=watched, planner=planner)
        total = now() - began
        calls = len(watched.calls)
        opening = next(
            (number for number, call in enumerate(watched.calls) if int(call.read.min()) >= self._second_block), calls
        )
        denoiser, planning = sum(watched.seconds) / total, planner.seconds / total
        return {
            "nfe": calls,
            "tpf": self.setting.new / calls,
            "first_block": watched.ends[opening - 1] - began,
            "denoiser": denoiser,
            "planner": planning,
            "rest": 1 - denoiser - planning,
            "replay": watched.replay,
        }

    @property
    def _second_block(self) -> int:
        return self.setting.prompt + self.setting.block_length


def _agreement(tokens: list[Tensor], reference: list[Tensor]) -> float:
    same = [(ours == theirs).float().mean() for ours, theirs in zip(tokens, reference, strict=True)]
    return float(torch.stack(same).mean())


def machine(model: Checkpoint) -> dict[str, Any]:
    """What a measurement was made on: processor or GPU, threads, versions, model size, peak memory so far in bytes."""
    gpu = model.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "device": torch.cuda.get_device_name() if gpu else _processor(),
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(weights.numel() for weights in model.model.parameters()),
        "peak_memory": peak,
        "python": platform.python_version(),
        **{name: version(name) for name in ("dus", "torch", "transformers")},
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
