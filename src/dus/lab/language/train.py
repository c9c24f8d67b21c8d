"""Trains a small denoiser on written English for a number of minutes, on a GPU or a CPU.

    python -m dus.lab.language.train OUT --data DIR --size bundled --minutes 3

`DIR` is what `dus.lab.language.corpus` wrote. OUT gets `log.jsonl` and a moving average of the weights, bfloat16, in
files of at most 15 MB; `dus.lab.language.export` makes a checkpoint of them at any time. The learning rates follow the
time that has passed, so that they have fallen to 0 when it is over, however fast the machine is. With `--state FILE` a
broken run is resumed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dus.lab.language.corpus import Corpus, draw_masks
from dus.lab.language.export import load_state, save_state, save_weights
from dus.lab.training.model import Size, autocast, build, masked_logits
from dus.lab.training.optimizer import MuonAdamW

SIZES = {
    "tiny": Size(width=64, layers=2, heads=2, mlp=128, kv_heads=2),
    "bundled": Size(width=256, layers=6, heads=4, mlp=704, kv_heads=4),
    "large": Size(width=448, layers=10, heads=7, mlp=1216, kv_heads=7),
}
RATES = {"tiny": (0.02, 0.01), "bundled": (0.02, 0.008), "large": (0.015, 0.004)}  # Muon's, AdamW's from FULL rows on
FULL = 32  # rows of a batch; the rates of smaller ones are smaller by the square root
WARMUP, STABLE = 100, 0.4  # steps; the fraction of the time after which the rates fall
AVERAGE = 0.99  # of the moving average's weights, what a step leaves
MEASURE_EVERY, SAVE_EVERY = {"cuda": 20.0, "cpu": 600.0}, {"cuda": 60.0, "cpu": 120.0}  # seconds
HELD_ROWS = 64


def factor(step: int, fraction: float) -> float:
    """The rates' factor: up over the first steps, constant, then linearly to 0 at the end of the time."""
    return min(1.0, (step + 1) / WARMUP) * min(1.0, max(0.0, (1 - fraction) / (1 - STABLE)))


def loss_of(network: Any, tokens: Tensor, masked: Tensor, weights: Tensor) -> Tensor:
    """The weighted cross-entropy at the masked positions of `tokens` [N, L]; the weights are 0 at all others."""
    losses = cross_entropy(masked_logits(network, tokens, masked).float(), tokens[masked], reduction="none")
    return (losses * weights[masked]).sum()


class Run:
    """One run: the network, its optimizers and the clock."""

    def __init__(self, args: argparse.Namespace, corpus: Corpus) -> None:
        self.args, self.corpus, self.size = args, corpus, SIZES[args.size]
        self.network = build(self.size, corpus.tokenizer, args.seed).to(args.device)
        matrix_rate, other_rate = RATES[args.size]
        self.optimizer = MuonAdamW(self.network, matrix_lr=matrix_rate, other_lr=other_rate)
        self.average = [p.detach().clone() for p in self.network.parameters()]
        if args.compile:
            self.network.model.compile()
        self.step, self.spent, self.begun = 0, 0.0, time.monotonic()
        self.generator = torch.Generator(args.device).manual_seed(args.seed)
        if args.state and args.state.exists():
            self.step, self.spent = load_state(args.state, self.network, self.average, self.optimizer)
            self.generator.manual_seed(args.seed + self.step)  # other crops than those that were seen

    def elapsed(self) -> float:
        """Seconds of training, those before a resumption included."""
        return self.spent + time.monotonic() - self.begun

    def update(self) -> Tensor:
        """One optimizer step; the loss, still on the device."""
        rate = factor(self.step, self.elapsed() / (60 * self.args.minutes)) * min(1.0, self.args.rows / FULL) ** 0.5
        tokens, maskable = self.corpus.batch(self.args.rows, self.generator)
        masked, weights = draw_masks(maskable, self.generator)
        with autocast(self.args.device):
            loss = loss_of(self.network, tokens, masked, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group, highest in zip(self.optimizer.param_groups, RATES[self.args.size], strict=True):
            group["lr"] = highest * rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        kept = min(AVERAGE, self.step / (self.step + 10))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.network.parameters()], 1 - kept)
        return loss.detach()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the network has the moving average of its weights."""
        trained = [p.detach().clone() for p in self.network.parameters()]
        self._take(self.average)
        yield
        self._take(trained)

    @torch.no_grad()
    def _take(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self.network.parameters(), weights, strict=True):
            parameter.copy_(weight)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The bound on -log p in nats a token, of held-out answers, questions and prose, always with the same masks."""
        found = {}
        for name, (tokens, maskable) in self.corpus.held_out(HELD_ROWS).items():
            generator = torch.Generator(self.args.device).manual_seed(0)
            masked, weights = draw_masks(maskable, generator)
            with self.averaged(), autocast(self.args.device):
                found[name] = float(loss_of(self.network, tokens, masked, weights))
        return found

    def note(self, entry: dict[str, float]) -> None:
        """A line in the log and on the screen."""
        line = json.dumps({"step": self.step, "seconds": round(self.elapsed(), 1), **entry})
        with (self.args.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)  # noqa: T201

    def save(self) -> None:
        """The averaged weights, and the state where it is asked for."""
        with self.averaged():
            save_weights(self.network, asdict(self.size), self.args.out)
        if self.args.state:
            save_state(self.args.state, self.network, self.average, self.optimizer, self.step, self.elapsed())

    def train(self) -> None:
        """Trains until the time is over."""
        measured = saved = self.elapsed()
        while self.elapsed() < 60 * self.args.minutes:
            loss = self.update()
            if self.step % 10:
                continue
            value = float(loss)  # waits for the device, so that the clock is right
            if self.elapsed() - measured > MEASURE_EVERY[self.args.device] or self.step == 10:
                measured = self.elapsed()
                tokens = self.step * self.args.rows * self.corpus.length
                self.note({"loss": round(value, 4), "tokens": tokens, **self.measure()})
            if self.elapsed() - saved > SAVE_EVERY[self.args.device]:
                saved = self.elapsed()
                self.save()
        self.note({"tokens": self.step * self.args.rows * self.corpus.length, **self.measure()})
        self.save()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Train a small denoiser of written English.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", choices=list(SIZES), default="bundled")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rows", type=int, default=512, help="Rows of a batch.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="Where a broken run is resumed from.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="Have torch compile the network first.")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    Run(args, Corpus(args.data, args.device)).train()


if __name__ == "__main__":
    main()
