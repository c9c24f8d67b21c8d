"""The model card: what a bundled checkpoint was made from, how, how long, and how good it is."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from dus.evaluation.accuracy import TOKEN_BY_TOKEN, Accuracy

if TYPE_CHECKING:
    from dus.training.run import Settings

LONGEST_PAUSE = 900.0  # seconds between two log entries beyond which a run was not running

TEMPLATE = """\
---
license: mit
language: en
pipeline_tag: text-generation
---

# A small masked diffusion language model for grade-school word problems

{parameters:,} parameters in LLaDA's architecture and checkpoint format: {width} wide, {layers} layers, {heads} heads,
gated hidden layer of {mlp}, {vocabulary:,} tokens, context {context}, bfloat16. It answers generated word problems
with the solution spelled out and nothing else; it exists so that planners can be compared on a laptop.

## How good

Token by token (`{planner}`, blocks of 32), greedily, on held-out problems, which share no question with the training
problems; 95% intervals (Wilson).

| level | problems | right |
| --- | --- | --- |
{accuracies}

Level 1: one operation, operands up to 12. Level 2: two or three operations. Level 3: four to six operations and
sentences that do not matter. All quantities are below 100.

## Data

Generated, without end and without outside text: `dus.tasks` (arithmetic, levels 1 to 3) and bare equations
("17 + 8 = 25. 30 - 4 = 26. "). Over the first {ramp:,} steps the share of rows that are equations falls
from {equations[0]:.0%} to {equations[1]:.0%} and the frequencies of the levels go from {levels[0]} to {levels[1]}.
Held-out problems are skipped.
The tokenizer is a byte-level BPE learned from the same text; numbers below 100 are single tokens, longer ones are
split in pairs of digits from the right.

## Recipe

- Loss: LLaDA's bound (arXiv 2502.09992, eq. 6): l of the n answer tokens masked, l uniform on 1 to n, cross-entropy
  averaged over the l; masking rates stratified over the batch. The prompt is visible; end tokens count.
- {steps:,} steps of {tokens:,} tokens ({total:.0f} million tokens), seed {seed}.
- Muon (learning rate {matrix_lr}) for the matrices of the layers, AdamW ({other_lr}) for the rest; {warmup} steps of
  warm-up, then constant, linear decay to 0 over the last {decay:,} steps; gradients clipped to norm 1.
- Embedding and head are one matrix while training (the checkpoint holds it twice): copying words from the question
  is learned in a fraction of the steps that two matrices need.
- bfloat16 autocast; exponential moving average of the weights (0.997), which is what is exported.
- Hardware: {hardware}. Hours: {hours:.1f}.
- Last training loss {loss:.3f} nats a token. Held-out bound, nats per token of the answer: {bounds}. Results of bare
  equations: {equation_accuracy:.1%} right.

## Made by

    {command}

with torch {torch} and transformers {transformers}.
"""


def hours(folder: Path) -> float:
    """Hours that the run in `folder` was running, pauses between its log entries left out."""
    times = [entry["time"] for entry in entries(folder)]
    steps = (later - sooner for sooner, later in pairwise(times))
    return sum(step for step in steps if 0 < step < LONGEST_PAUSE) / 3600


def entries(folder: Path) -> list[dict[str, float]]:
    """The log of a run, one dict of numbers a line of `log.jsonl`."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def hardware() -> str:
    """The processors that this process computes on."""
    import torch

    if torch.accelerator.is_available():
        return f"{torch.get_device_module().get_device_name()}"
    return f"{torch.get_num_threads()} CPU threads of {os.cpu_count()} ({platform.machine()})"


def write(folder: Path, settings: Settings, parameters: int, vocabulary: int, right: Mapping[int, Accuracy]) -> str:
    """The card of the run in `folder`; `right` has the accuracy of each level."""
    import torch
    import transformers

    from dus.training.data import Curriculum

    log = entries(folder)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    measured = [entry for entry in log if "equations" in entry][-1]
    rows = [f"| {level} | {found.total:,} | {found} |" for level, found in right.items()]
    curriculum = Curriculum()
    return TEMPLATE.format(
        parameters=parameters,
        vocabulary=vocabulary,
        context=settings.size.max_length,
        width=settings.size.width,
        layers=settings.size.layers,
        heads=settings.size.heads,
        mlp=settings.size.mlp,
        planner=TOKEN_BY_TOKEN,
        accuracies="\n".join(rows),
        ramp=curriculum.ramp,
        equations=curriculum.equations,
        levels=[" : ".join(f"{share:g}" for share in shares) for shares in curriculum.levels],
        steps=settings.steps,
        tokens=settings.tokens_per_batch,
        total=settings.steps * settings.tokens_per_batch / 1e6,
        seed=settings.seed,
        matrix_lr=settings.matrix_lr,
        other_lr=settings.other_lr,
        warmup=settings.warmup,
        decay=settings.decay,
        hardware=hardware(),
        hours=hours(folder),
        loss=losses[-1],
        bounds=", ".join(f"level {level} {measured[f'bound_level_{level}']:.3f}" for level in right),
        equation_accuracy=measured["equations"],
        command=f"dus train --out DIR --steps {settings.steps} --decay {settings.decay} --seed {settings.seed}",
        torch=torch.__version__,
        transformers=transformers.__version__,
    )
