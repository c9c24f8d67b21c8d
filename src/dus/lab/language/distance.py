"""What `dus theory language` prints: dependence over spacing with intervals, and whether it falls exponentially."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, stdev

import numpy as np

from dus.lab.language.reach import GROUP, Estimate, Plan, Reach
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.fit import Fit, fits
from dus.writing.tables import markdown

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
    return f"""Nats, means over {len(found)} contexts with 95 % intervals;
{plan.particles} particles, {plan.draws} draws.
The corrected value is twice that of all particles less that of half of them; the crossed one, which curves are fitted
to, is 0 on average where there is no dependence.

## Mutual information of two tokens

{_table(pairs)}

{_decay(found)}

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
