"""One benchmark: the textbook loop, `generate` in each cache mode, and the bare forwards, in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dus.bench.machine import peak_memory
from dus.bench.products import Products
from dus.bench.textbook import textbook
from dus.bench.timing import Watched, WatchedPlanner, now, side_by_side
from dus.decoding import Generation, GenerationError, generate
from dus.denoisers import NativeLM
from dus.denoisers.quantized import weight_bytes
from dus.planners import Planner, parse


@dataclass(frozen=True)
class Workload:
    """What is generated, from prompts of random tokens.

    Attributes:
        planner: The text of the planner; for the textbook loop one that does not revise.
        batch: Rows generated together.
        prompt: Tokens of each prompt.
        new: Tokens generated for each.
        block_length: Positions of a block.
        repeats: Rounds of which the median is taken.
    """

    planner: str = "dus"
    batch: int = 1
    prompt: int = 256
    new: int = 256
    block_length: int = 32
    repeats: int = 5


@dataclass
class Way:
    """A way to generate the same.

    Attributes:
        name: What tells it from the others.
        model: The model, or another form of it.
        cache: The cache mode; None is the textbook loop.
        tokens: What it generates; empty before the first run.
        first: Seconds of the first run, with all that is done once, such as compiling.
    """

    name: str
    model: NativeLM
    cache: str | None
    tokens: list[Tensor] = field(default_factory=list)
    first: float = 0.0


class Bench:
    """Times ways to generate the same, side by side.

    Args:
        model: A checkpoint.
        setting: What to generate; a block-causal model has its own block length.

    Raises:
        GenerationError: The canvas does not fit the model's context.
    """

    def __init__(self, model: NativeLM, setting: Workload) -> None:
        most = model.max_length
        if most is not None and setting.prompt + setting.new > most:
            raise GenerationError(
                f"{setting.prompt} and {setting.new} tokens are more than the model's context of {most}"
            )
        self.model, self.setting = model, setting
        if model.block_length is not None:
            self.setting = replace(setting, block_length=model.block_length)
        drawn = torch.Generator().manual_seed(0)
        self.prompts = list(torch.randint(2, model.vocab_size, (setting.batch, setting.prompt), generator=drawn))

    def run(
        self, caches: Sequence[str], *, with_textbook: bool = True, variants: Mapping[str, NativeLM] | None = None
    ) -> dict[str, Any]:
        """Time all ways in rounds.

        Args:
            caches: Cache modes of `generate`.
            with_textbook: Whether the textbook loop is the first way.
            variants: The model in other forms, such as compiled, by what they are called; each in every cache mode.

        Returns:
            `setting`, and `lines`: for each way its `name`, the `seconds` of a generation (median) and of the very
            `first` one, `tokens_per_second`, `agreement` (the share of its tokens that equal those of the first line),
            `weights` (bytes), `memory` (bytes, at its peak, on top of those); and for cache modes `nfe` (mean of the
            rows), `tpf`, `first_block` (seconds), `over_floor` (seconds over those of the bare forwards),
            `over_products` (those over the products with weights in them; 0 where compiled code hides these), and the
            shares `denoiser`, `planner` and `rest` of the time of one watched run.
        """
        ways = self.ways(caches, with_textbook=with_textbook, variants=variants)
        insides = {way.name: self._inside(way) for way in ways if way.cache is not None}
        bare: dict[str, Callable[[], Any]] = {f"floor of {name}": insides[name].pop("replay") for name in insides}
        bare |= {f"products of {name}": insides[name].pop("products") for name in insides}
        seconds = side_by_side({way.name: partial(self._generate, way) for way in ways} | bare, self.setting.repeats)
        for name, inside in insides.items():
            floor, products = seconds[f"floor of {name}"], seconds[f"products of {name}"]
            inside["over_floor"] = seconds[name] / floor
            inside["over_products"] = floor / products if inside.pop("multiplies") else 0.0
        lines = [self._line(way, ways[0], seconds[way.name]) | insides.get(way.name, {}) for way in ways]
        return {"setting": asdict(self.setting), "lines": lines}

    def brief(
        self, caches: Sequence[str], *, with_textbook: bool = False, variants: Mapping[str, NativeLM] | None = None
    ) -> list[dict[str, Any]]:
        """The lines of `run` without what needs a look inside."""
        ways = self.ways(caches, with_textbook=with_textbook, variants=variants)
        seconds = side_by_side({way.name: partial(self._generate, way) for way in ways}, self.setting.repeats)
        return [self._line(way, ways[0], seconds[way.name]) for way in ways]

    def ways(
        self, caches: Sequence[str], *, with_textbook: bool, variants: Mapping[str, NativeLM] | None = None
    ) -> list[Way]:
        """All ways, each run once.

        Raises:
            GenerationError: With the textbook loop under a planner that takes tokens back, which the loop does not, or
                with a block-causal model, whose canvas the loop does not cut.
        """
        if with_textbook and self.model.block_length is not None:
            raise GenerationError("the textbook loop sees the whole canvas, this model whole blocks: --no-textbook")
        if with_textbook and parse(self.setting.planner).revises:
            raise GenerationError(
                f"{self.setting.planner} takes tokens back, the textbook loop does not: --no-textbook"
            )
        ways = [Way("textbook", self.model, None)] if with_textbook else []
        ways += [Way(cache, self.model, cache) for cache in caches]
        ways += [Way(f"{cache}, {name}", form, cache) for name, form in (variants or {}).items() for cache in caches]
        for way in ways:
            began = now()
            way.tokens = self._generate(way)
            way.first = now() - began
        return ways

    def tokens(self, cache: str) -> list[Tensor]:
        """The tokens that `generate` gives in a cache mode."""
        return self.generation(cache).tokens

    def generation(self, cache: str, *, model: Any = None, planner: Planner | None = None) -> Generation:
        """What `generate` gives in a cache mode, without the scores of a trace, which no planner asks for."""
        return generate(
            model or self.model,
            self.prompts,
            planner=planner or self.setting.planner,
            max_new_tokens=self.setting.new,
            block_length=self.setting.block_length,
            cache=cache,  # type: ignore[arg-type]
            eos="ignore",
            scores=False,
        )

    def _generate(self, way: Way) -> list[Tensor]:
        if way.cache is not None:
            return self.generation(way.cache, model=way.model).tokens
        setting, planner = self.setting, parse(self.setting.planner)
        return textbook(way.model, self.prompts, planner, new=setting.new, block_length=setting.block_length)

    def _line(self, way: Way, first: Way, seconds: float) -> dict[str, Any]:
        """What is known of every way."""
        same = [(ours == theirs).float().mean() for ours, theirs in zip(way.tokens, first.tokens, strict=True)]
        return {
            "name": way.name,
            "seconds": seconds,
            "first": way.first,
            "tokens_per_second": self.setting.batch * self.setting.new / seconds,
            "agreement": float(torch.stack(same).mean()),
            "weights": weight_bytes(way.model.model),
            "memory": peak_memory(partial(self._generate, way), way.model.device),
        }

    def _inside(self, way: Way) -> dict[str, Any]:
        """Where the time of a run goes, and its bare forwards to be replayed."""
        watched, planner = Watched(way.model), WatchedPlanner(parse(self.setting.planner))
        began = now()
        nfe = fmean(self.generation(str(way.cache), model=watched, planner=planner).nfe)
        total = now() - began
        second_block = self.setting.prompt + self.setting.block_length
        opening = next(
            (number for number, call in enumerate(watched.calls) if int(call.read[1].min()) >= second_block),
            len(watched.calls),
        )
        denoiser, planning = sum(watched.seconds) / total, planner.seconds / total
        products = Products()
        with products.watching(way.model.model):
            self.generation(str(way.cache), model=way.model)
        return {
            "nfe": nfe,
            "tpf": self.setting.new / nfe,
            "first_block": watched.ends[opening - 1] - began,
            "denoiser": denoiser,
            "planner": planning,
            "rest": 1 - denoiser - planning,
            "replay": watched.replay,
            "products": products.replay,
            "multiplies": len({module for module, _ in products.made}) > 1,
        }
