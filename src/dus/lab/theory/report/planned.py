"""Schedules made from measurements, beside the best ones, on sources where these are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dus.lab.theory.best import best_schedules
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.entropies import all_entropies
from dus.lab.theory.kinds import KINDS
from dus.lab.theory.known import Entropies, of_blocks, of_exact, pairs, planned
from dus.lab.theory.report.settings import Extent
from dus.lab.theory.report.tables import nats
from dus.lab.theory.schedules import contiguous, divergence, equal_sizes, schedule_of
from dus.lab.theory.texts import from_source
from dus.writing.tables import markdown

KNOWN = 2
"""Tokens before a block that are known."""


@dataclass(frozen=True)
class Plans:
    """Divergences in nats of schedules of one block on one source, all in the calls that DUS takes.

    Attributes:
        kind, rate: of the source.
        dus, neighbours: of DUS, and of groups of neighbours of equal size.
        exact, measured: of the levels made from exact entropies, and from those read off texts.
        best: the least.
    """

    kind: str
    rate: float
    dus: float
    neighbours: float
    exact: float
    measured: float
    best: float


def study(extent: Extent) -> list[Plans]:
    """Every kind at every rate of the longer blocks, in blocks of the shorter length."""
    return [_plans(kind, rate, extent) for kind in KINDS for rate in extent.long_rates]


def _plans(kind: str, rate: float, extent: Extent) -> Plans:
    length = extent.short
    source = KINDS[kind].source(rate, 0)
    entropies = all_entropies(source, length, KNOWN)
    dus = schedule_of("dus", length)
    texts = from_source(source, extent.texts, length + KNOWN, known=KNOWN, seed=1)

    def made(measure: Entropies) -> float:
        return divergence(planned(pairs(measure, length), measure, len(dus)), entropies.item)

    return Plans(
        kind=kind,
        rate=rate,
        dus=divergence(dus, entropies.item),
        neighbours=divergence(contiguous(length, equal_sizes(length, len(dus))), entropies.item),
        exact=made(of_exact(entropies.item, length)),
        measured=made(of_blocks(texts.blocks(MarkovDenoiser(source), length))),
        best=best_schedules(entropies, len(dus)).divergence(len(dus)),
    )


def section(extent: Extent, found: Sequence[Plans]) -> str:
    """How near the levels that `dus calibrate` makes come to the best ones, as Markdown."""
    by = {(each.kind, each.rate): each for each in found}
    rates = sorted({each.rate for each in found})
    rows = [
        (
            kind,
            *(
                " / ".join(nats(value) for value in (each.dus, each.measured, each.exact, each.best))
                for each in (by[kind, rate] for rate in rates)
            ),
        )
        for kind in KINDS
    ]
    behind = [max(each.exact - each.best for each in found), max(each.measured - each.best for each in found)]
    ahead = sum(each.measured < each.dus - 1e-3 for each in found)
    worse = sum(each.measured > each.dus + 1e-3 for each in found)
    neighbours = sum(each.measured > each.neighbours + 1e-3 for each in found)
    steps = len(schedule_of("dus", extent.short))
    return f"""## A schedule made for a model

`dus calibrate` makes levels from what at most two known tokens of a block tell of the others, and searches on from
there. {extent.short} positions in {steps} calls behind {KNOWN} known tokens, divergence in nats: DUS / levels made
from {extent.texts} texts / levels made from exact entropies / the best levels.

{markdown(("source", *(f"ρ = {rate:g}" for rate in rates)), rows)}

- Above the best schedule everywhere by at most {nats(behind[0])} nats, where the levels are made from exact entropies,
  and by {nats(behind[1])}, where they are made from {extent.texts} texts.
- From texts they lose less than DUS on {ahead} of {len(found)} sources, more on {worse}; more than groups of neighbours
  on {neighbours}. `dus calibrate` measures all three on other texts, and takes the one that loses least.
"""
