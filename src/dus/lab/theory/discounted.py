"""What the discounted entropy bound takes on sources whose conditionals are known: what it loses, and its bound."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from dus.lab.theory.adaptive import Estimate, Situation
from dus.lab.theory.best import best_schedules
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.entropies import all_entropies, entropy_of
from dus.lab.theory.sampling import sampled_divergence
from dus.lab.theory.schedules import divergence, schedule_of
from dus.lab.theory.sources import Source
from dus.planners import DiscountedEntropyBounded, Planner, parse

BOUNDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""In bits, for `eb` and `deb`."""

SHOWN = (0.2, 0.5, 1.0)
"""The bounds at which what is lost stands beside what is summed."""

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""For `cb`."""


@dataclass(frozen=True)
class Bounded:
    """What one `deb` loses in a block, beside what it sums, nats on average over sequences.

    Attributes:
        loss: The divergence, which is the mean total correlation of its calls, summed over them.
        summed: The sum over calls of the discounted entropies of what a call takes, all but the most uncertain one.
    """

    loss: Estimate
    summed: float


@dataclass(frozen=True)
class Discounted:
    """The planners on one source.

    Attributes:
        name: The name of the source.
        shares: For each distance from 1 what share of a token's entropy another tells of.
        calls: The number of calls that DUS takes.
        dus, best: The divergence of DUS and of the best schedule in as many calls.
        within: For each adaptive planner its text and its divergence where that is least in at most so many calls.
        bounded: What a `deb` without patience loses and what it sums, by its text.
    """

    name: str
    shares: list[float]
    calls: int
    dus: float
    best: float
    within: Mapping[str, tuple[str, Estimate]]
    bounded: Mapping[str, Bounded]


def exact_shares(source: Source, longest: int) -> list[float]:
    """For each distance d from 1 to `longest` the share I(X_i; X_{i+d}) / H(X_i), with nothing else known."""
    of = entropy_of(source)
    return [max(0.0, 2 - of(1 | 1 << distance) / of(1)) for distance in range(1, longest + 1)]


def discounted(source: Source, length: int, *, rho: float, samples: int = 500, seed: int = 0) -> Discounted:
    """Measure planners on a source in one block, sampled at temperature 1.

    Args:
        source: The source of the tokens, which is their denoiser too.
        length: B, a power of two.
        rho: The discount of `deb`.
        samples: Sequences behind each divergence of an adaptive planner.
        seed: The seed of the sequences; all planners see the same.
    """
    table = all_entropies(source, length)
    schedule = schedule_of("dus", length)
    calls = len(schedule)
    shares = exact_shares(source, length - 1)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "shares.json"
        file.write_text(json.dumps({"shares": shares}), encoding="utf-8")
        by_rate = [DiscountedEntropyBounded(gamma, rho, f=0) for gamma in BOUNDS]
        by_file = [DiscountedEntropyBounded(gamma, f=0, file=str(file)) for gamma in BOUNDS]
        rivals: dict[str, Sequence[Planner]] = {
            "eb": [parse(f"eb(gamma={gamma})") for gamma in BOUNDS],
            "cb": [parse(f"cb(tau={tau})") for tau in THRESHOLDS],
            "deb": by_rate,
            "deb, shares": by_file,
        }
        within: dict[str, tuple[str, Estimate]] = {}
        for name, rules in rivals.items():
            found = [(named(rule), sampled_divergence(source, rule, length, True, samples, seed)) for rule in rules]
            fast = [each for each in found if each[1].calls <= calls]
            if fast:
                within[name] = min(fast, key=lambda each: each[1].nats)
        shown = [rule for rule in (*by_rate, *by_file) if rule.gamma in SHOWN]
        bounded = {named(rule): losses_and_sums(source, rule, length, samples, seed) for rule in shown}
    best = best_schedules(table, calls).divergence(calls)
    return Discounted(source.name, shares, calls, divergence(schedule, table.item), best, within, bounded)


def named(rule: Planner) -> str:
    """A planner's text, without the folder of its file."""
    return re.sub(r"file='[^']*/", "file='", str(rule))


def losses_and_sums(
    source: Source, rule: DiscountedEntropyBounded, length: int, samples: int = 500, seed: int = 0
) -> Bounded:
    """What a `deb` loses in a block, and what it sums in nats, over the same sequences.

    Args:
        source: The source of the tokens.
        rule: The planner.
        length: B.
        samples: The number of sequences.
        seed: The seed of the sequences.
    """
    loss = sampled_divergence(source, rule, length, True, samples, seed)
    denoiser = MarkovDenoiser(source)
    texts = torch.from_numpy(source.sample(samples, length, seed))
    canvas, step = torch.full_like(texts, source.vocab), torch.zeros(samples, dtype=torch.long)
    live, total = torch.arange(samples), 0.0
    while len(live):
        now = Situation.of(rule, denoiser, canvas[live], step[live], True)
        selected = now.blind_selection()
        assert selected is not None
        total += float(summed(rule, now.probability, selected).sum())
        canvas[live] = texts[live].where(selected, canvas[live])
        step[live] = now.block.step + 1
        live = (canvas == source.vocab).any(dim=1).nonzero()[:, 0]
    return Bounded(loss, total / samples)


def summed(rule: DiscountedEntropyBounded, probability: Tensor, selected: Tensor) -> Tensor:
    """Float64 `[N]`, nats: what `deb` sums of the positions that are selected.

    Args:
        rule: The planner, whose factors count.
        probability: Float64 `[N, B, V]`.
        selected: Bool `[N, B]`.
    """
    width = selected.shape[1]
    entropy = -(probability * probability.clamp(min=1e-300).log()).sum(dim=2)
    position = torch.arange(width)
    apart = (position[:, None] - position).abs()
    factor = rule.factors(width, "cpu").double()[apart]  # [B, B]
    after = (entropy[:, None, :] > entropy[:, :, None]) | (
        (entropy[:, None, :] == entropy[:, :, None]) & (position > position[:, None])
    )
    counts = factor * (after & selected[:, None, :])
    return (entropy * counts.amax(dim=2)).masked_fill(~selected, 0).sum(dim=1)
