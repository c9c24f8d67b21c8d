"""Divergences of blocks too large to enumerate, from sequences drawn from the source, with standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from dus.lab.theory.adaptive import Estimate, Situation, rule_of
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.schedules import Schedule, check
from dus.lab.theory.sources import Source
from dus.planners import Planner

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def sampled_divergence(
    source: Source,
    planner: str | Planner,
    length: int,
    likeliest: bool = False,
    samples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """KL(truth ‖ sampled) in nats, the average of `log p(x) - log q(x)` over sequences of the source.

    A planner that does not read what is drawn reveals a sequence in one way only, and q(x) is the product of the
    conditionals on that way.

    Args:
        source: The source of the tokens.
        planner: Any that takes nothing back and reads no draw, or its text.
        length: B.
        likeliest: Whether confidence is that of the likeliest token, which makes every planner one that reads no draw.
        samples: Sequences.
        seed: The seed of the draws.

    Raises:
        TheoryError: A planner that takes tokens back, or one that reads what is drawn.
    """
    rule, denoiser = rule_of(planner), MarkovDenoiser(source)
    texts = torch.from_numpy(source.sample(samples, length, seed))
    canvas, step = torch.full_like(texts, source.vocab), torch.zeros(samples, dtype=torch.long)
    ratio, calls = log_true(denoiser, texts), torch.zeros(samples)
    live = torch.arange(samples)
    while len(live):
        now = Situation.of(rule, denoiser, canvas[live], step[live], likeliest)
        selected = now.blind_selection()
        if selected is None:
            raise TheoryError(
                f"{rule} reads the confidence of the tokens drawn: how likely it is to sample a sequence is known "
                "only by enumeration; with likeliest=True it reads that of the likeliest tokens and can be sampled"
            )
        chance = now.probability.gather(2, texts[live, :, None])[..., 0]
        ratio[live] -= chance.log().where(selected, 0).sum(dim=1)
        canvas[live] = texts[live].where(selected, canvas[live])
        step[live] = now.block.step + 1
        calls[live] += 1
        live = (canvas == source.vocab).any(dim=1).nonzero()[:, 0]
    return Estimate(float(ratio.mean()), float(ratio.std() / samples**0.5), float(calls.mean()))


def log_true(denoiser: MarkovDenoiser, texts: Tensor) -> Tensor:
    """Float64 `[M]`: the log-probability in nats of int64 texts `[M, B]` under the source."""
    law, total = denoiser.initial.expand(len(texts), -1), torch.zeros(len(texts), dtype=torch.float64)
    for token in texts.T:
        joint = law * denoiser.emission.T[token]
        share = joint.sum(dim=1)
        total += share.log()
        law = (joint / share[:, None]) @ denoiser.transition
    return total


def schedule_divergence(source: Source, schedule: Schedule, samples: int = 2000, seed: int = 0) -> Estimate:
    """KL(truth ‖ sampled) in nats of a fixed schedule, from sequences of the source; for blocks of any length.

    Raises:
        TheoryError: A schedule that is no partition.
    """
    length, denoiser = check(schedule), MarkovDenoiser(source)
    texts = torch.from_numpy(source.sample(samples, length, seed))
    losses, revealed = sampled_losses(source, texts), 0
    ratio = log_true(denoiser, texts)
    for group in schedule:
        ratio = ratio + losses(revealed)[:, list(group)].sum(dim=1)
        revealed += sum(1 << place for place in group)
    return Estimate(float(ratio.mean()), float(ratio.std() / samples**0.5), len(schedule))


def sampled_losses(source: Source, texts: Tensor) -> Callable[[int], Tensor]:
    """Of a set U of positions as a bit mask: `-log p(x_i | x_U)` in nats at each position of each text, `[M, B]`."""
    denoiser, length = MarkovDenoiser(source), texts.shape[1]

    def losses(revealed: int) -> Tensor:
        seen = torch.tensor([bool(revealed >> place & 1) for place in range(length)])
        canvas = texts.masked_fill(~seen, denoiser.mask_token_id)
        return -denoiser.logits(canvas, read=torch.arange(length)).gather(2, texts[..., None])[..., 0]

    return losses


def sampled_conditionals(source: Source, length: int, samples: int = 500, seed: int = 0) -> Callable[[int], NDArray]:
    """Of a set U as a bit mask: estimates of `H(X_i | X_U)` in nats, float64 `[B]`, for `local_search`.

    The same sequences estimate every set, so that differences between schedules are sharper than each value.
    """
    losses = sampled_losses(source, torch.from_numpy(source.sample(samples, length, seed)))
    return lambda revealed: np.asarray(losses(revealed).mean(dim=0))
