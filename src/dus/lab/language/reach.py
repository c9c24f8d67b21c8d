"""How far dependence reaches in real English: what a token says of a later one, a group of its members, the page.

Of the continuations of a context c under a causal model, with X_0 the token after it:

- the mutual information I(X_0; X_s | c) = E KL(p(X_s | X_0, c) || p(X_s | c)), for every spacing s;
- the total correlation of a dilated group (X_0, X_s, X_2s, …), the nats that are lost when its members are written at
  once: the sum over j of E KL(p(X_js | X_0, …, X_(j-1)s, c) || p(X_js | c)).

Both are averages over tokens that the model draws. The distributions are averages over particles (`real.passed`);
an average over few of them makes the divergence too large, by about a constant over their number, so each is computed
from all particles and from halves, and the corrected value is twice the one less the other. That is not enough where
few of the particles agree on a token, and beside it stands the crossed value, the mean over one half of the logarithms
of the other half, less those of equally many particles without the known token. Logarithms of averages are too small,
but both are so alike: where a token says nothing of a later one, the crossed value is 0 on average.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor

from dus.lab.language.real import Context, Passed, divergence, joined, passed
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.fit import Fit, fits
from dus.writing.tables import markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GROUP = 4
FIELDS = ("question", "prompt", "problem", "text")


@dataclass(frozen=True)
class Estimate:
    """A value in nats from all particles, from half of them, and from one half with the logarithms of the other."""

    whole: float
    half: float
    crossed: float

    @property
    def corrected(self) -> float:
        """Without the part of the bias that falls as one over the number of particles."""
        return 2 * self.whole - self.half


@dataclass(frozen=True)
class Reach:
    """One context's values: `information` by spacing from 1, `correlation` of groups of 4 by spacing.

    `size` is the smallest effective number of particles of any group.
    """

    information: tuple[Estimate, ...]
    correlation: dict[int, Estimate]
    size: float

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Reach:
        """What `dataclasses.asdict` said of one, through JSON."""
        correlation = {int(spacing): Estimate(**values) for spacing, values in found["correlation"].items()}
        return cls(tuple(Estimate(**values) for values in found["information"]), correlation, found["size"])


@dataclass(frozen=True)
class Plan:
    """How much is sampled of a context: particles, and how many times the tokens that are conditioned on are drawn."""

    particles: int = 64
    draws: int = 3
    longest: int = 32
    spacings: tuple[int, ...] = (1, 2, 4, 8)


def reach(model: PreTrainedModel, tokens: Tensor, plan: Plan, generator: Generator) -> Reach:
    """What is measured after one context, int64 [L]."""
    context = Context(model, tokens)
    base = _halves(context, {}, plan.longest + 1, plan.particles, generator)
    paths = base[2].tokens[torch.randperm(len(base[2].tokens), generator=generator)[: plan.draws]]
    informations = []
    correlations: dict[int, list[list[float]]] = {spacing: [] for spacing in plan.spacings}
    smallest = float(plan.particles)
    for path in paths.tolist():
        given = _halves(context, {0: path[0]}, plan.longest + 1, plan.particles, generator)
        informations.append(_gains(given, base)[:, 1:])
        for spacing in plan.spacings:
            places = range(0, GROUP * spacing, spacing)
            known = {place: path[place] for place in places}
            found = _halves(context, known, places[-1] + 1, plan.particles, generator)
            gains = _gains(found, base)[:, list(places)[1:]].sum(1).tolist()
            correlations[spacing].append(gains)
            smallest = min(smallest, float(found[2].sizes.min()))
    means = torch.stack(informations).mean(0).T.tolist()
    return Reach(
        tuple(Estimate(*values) for values in means),
        {spacing: Estimate(*torch.tensor(several).mean(0).tolist()) for spacing, several in correlations.items()},
        smallest,
    )


def _halves(
    context: Context, known: dict[int, int], length: int, count: int, generator: Generator
) -> tuple[Passed, Passed, Passed]:
    """Two independent halves of `count` particles, and both together."""
    first, second = (passed(context, known, length, count // 2, generator) for _ in range(2))
    return first, second, joined(first, second)


def _gains(given: tuple[Passed, Passed, Passed], base: tuple[Passed, Passed, Passed]) -> Tensor:
    """[3, T]: KL(given || base) at each position as an `Estimate` has it: from all, from halves, and crossed."""
    length = len(given[2].means)
    one, two, whole = (divergence(g.means, b.means[:length]) for g, b in zip(given, base, strict=True))
    without = sum(half.means[:length].log() for half in base[:2]) / 2
    pairs = ((given[0], given[1]), (given[1], given[0]))
    crossed = torch.stack([(mean.means * (other.means.log() - without)).sum(-1) for mean, other in pairs]).mean(0)
    return torch.stack([whole, (one + two) / 2, crossed])


def contexts_of(
    files: Sequence[Path], tokenizer: PreTrainedTokenizerFast, count: int, longest: int, generator: Generator
) -> Iterator[Tensor]:
    """`count` contexts, the files in turn: what stands before a random cut in the second half of a text, int64.

    At most `longest` tokens of it are kept.

    Raises:
        ValueError: Where a line of a file has none of the fields that hold a text.
    """
    texts = [[_text(line, file) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    for number in range(count):
        several = texts[number % len(texts)]
        row = torch.tensor(tokenizer(several[number // len(texts) % len(several)])["input_ids"])
        cut = int(torch.randint(len(row) // 2, len(row) + 1, (1,), generator=generator))
        yield row[max(0, cut - longest) : max(1, cut)]


def _text(line: str, file: Path) -> str:
    entry = json.loads(line)
    for field in FIELDS:
        if entry.get(field):
            return str(entry[field])
    raise ValueError(f"a line of {file} has no text: it would be under {', '.join(FIELDS)}")


SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
NEAR, FAR = (5, 8), (17, 32)  # spacings whose means say whether dependence still falls


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean over contexts and half of its 95 % interval."""
    if len(values) < 2:
        return fmean(values), math.nan
    return fmean(values), student(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by its expansion around the normal's (Fisher and Cornish, 1960)."""
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def shown(values: Sequence[float]) -> str:
    """`mean ± half of the interval`."""
    return "{:.3f} ± {:.3f}".format(*interval(values))


def section(found: Sequence[Reach], plan: Plan) -> str:
    """Tables and fits as Markdown."""
    pairs = {spacing: [each.information[spacing - 1] for each in found] for spacing in SHOWN if spacing <= plan.longest}
    groups = {spacing: [each.correlation[spacing] for each in found] for spacing in plan.spacings}
    smallest = min(each.size for each in found)
    drawn = f"{plan.draws} draw{'' if plan.draws == 1 else 's'}"
    return f"""This page says how much tokens of English tell of each other, by their distance, under a causal language
model. Values are in nats, means over {len(found)} contexts with 95 % intervals; {plan.particles} particles, {drawn}.
The corrected value is twice that of all particles less that of half of them; the crossed one, which curves are fitted
to, is 0 on average where there is no dependence.

{_decay(found)}

## Mutual information of two tokens

{_table(pairs)}

## Total correlation of dilated groups of {GROUP}

{_table(groups)}

The smallest effective number of particles of any group was {smallest:.1f}.
"""


def _table(found: Mapping[int, Sequence[Estimate]]) -> str:
    names = ("crossed", "corrected", "whole", "half")
    rows = [
        (spacing, *(shown([getattr(each, name) for each in several]) for name in names))
        for spacing, several in found.items()
    ]
    return markdown(("spacing", "crossed", "corrected", "all particles", "half of them"), rows)


def _decay(found: Sequence[Reach]) -> str:
    """Both fits, and the means of near and far spacings that an exponential would have to join."""
    values = np.array([[each.crossed for each in context.information] for context in found])
    try:
        exponential, power = fits(range(1, values.shape[1] + 1), values)
    except TheoryError as error:
        return f"No curve is fitted: {error}."
    lines = [_fitted(exponential, "ρ"), _fitted(power, "a")]
    for low, high in (NEAR, FAR):
        if values.shape[1] >= high:
            curve = exponential.at(np.arange(low, high + 1.0)).mean()
            mean = shown(list(values[:, low - 1 : high].mean(1)))
            lines.append(
                f"- Spacings {low} to {high} have {mean} nats on average, and the exponential has {curve:.3f}."
            )
    return "\n".join(lines)


def _fitted(fit: Fit, letter: str) -> str:
    verdict = "agrees with" if fit.holds else "contradicts"
    return (
        f"- The {fit.family} that is nearest has {letter} = {fit.shape:.3f} ({fit.low:.3f} to {fit.high:.3f});"
        f" what was measured {verdict} it (p = {fit.p:.3f})."
    )
