"""Sources measured as `dus theory long` and `dus calibrate` measure a trained denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dus.lab.theory.best import best_schedules
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.entropies import all_entropies
from dus.lab.theory.known import Entropies, of_blocks, of_exact, pairs, planned
from dus.lab.theory.long import contexts
from dus.lab.theory.randoms import FAR, KINDS
from dus.lab.theory.report import long
from dus.lab.theory.report.extent import Extent
from dus.lab.theory.schedules import contiguous, divergence, equal_sizes, schedule_of
from dus.lab.theory.texts import from_source
from dus.writing.tables import markdown, nats

SOURCES = (("first order", 0.9), ("hidden chain", 0.99), ("slow topic", 0.99), ("eight strands", 0.99))
KNOWN = 2
"""Tokens before a block that are known where a schedule is made for it."""


def far(extent: Extent) -> dict[str, str]:
    """Long contexts: for each source the same blocks behind no known token, eight, and ever four times as many."""
    known, parts = [0, 8], []
    while 4 * known[-1] <= extent.known:
        known.append(4 * known[-1])
    length = extent.length
    for kind, rate in SOURCES:
        source = {**KINDS, **FAR}[kind].source(rate, 0, vocab=2)
        texts = from_source(source, extent.texts, known[-1] + 2 * length, known=known[-1], seed=2)
        spacings = [1 << power for power in range(length.bit_length() - 1)]
        found = contexts(MarkovDenoiser(source), texts, known, block_length=length, spacings=spacings)
        parts.append(f"### {kind}, ρ = {rate:g}\n\n{long.section(list(found))}")
    return {"far": "\n".join(parts)}


@dataclass(frozen=True)
class Plans:
    """Divergences in nats of schedules of one block on one source, all in the calls that DUS takes.

    Attributes:
        dus: The divergence of DUS.
        neighbours: The divergence of groups of neighbours of equal size.
        exact: The divergence of the levels made from exact entropies.
        measured: The divergence of the levels made from entropies that are read off texts.
        best: The least divergence of any schedule.
    """

    dus: float
    neighbours: float
    exact: float
    measured: float
    best: float


def _plans(kind: str, rate: float, extent: Extent) -> Plans:
    length = extent.short
    source = KINDS[kind].source(rate, 0)
    entropies = all_entropies(source, length, KNOWN)
    dus = schedule_of("dus", length)
    texts = from_source(source, extent.texts, length + KNOWN, known=KNOWN, seed=1)

    def made(measure: Entropies) -> float:
        return divergence(planned(pairs(measure, length), measure, len(dus)), entropies.item)

    return Plans(
        dus=divergence(dus, entropies.item),
        neighbours=divergence(contiguous(length, equal_sizes(length, len(dus))), entropies.item),
        exact=made(of_exact(entropies.item, length)),
        measured=made(of_blocks(texts.blocks(MarkovDenoiser(source), length))),
        best=best_schedules(entropies, len(dus)).divergence(len(dus)),
    )


def plans(extent: Extent) -> dict[str, Any]:
    """How near the levels that `dus calibrate` makes come to the best ones, by kind and rate, in short blocks."""
    rates = sorted(extent.long_rates)
    by = {(kind, rate): _plans(kind, rate, extent) for kind in KINDS for rate in rates}

    def cell(each: Plans) -> str:
        return " / ".join(nats(value) for value in (each.dus, each.measured, each.exact, each.best))

    rows = [(kind, *(cell(by[kind, rate]) for rate in rates)) for kind in KINDS]
    found = by.values()
    return {
        "planned": markdown(("source", *(f"ρ = {rate:g}" for rate in rates)), rows),
        "planned_known": KNOWN,
        "planned_sources": len(found),
        "behind_exact": nats(max(each.exact - each.best for each in found)),
        "behind_texts": nats(max(each.measured - each.best for each in found)),
        "planned_ahead": sum(each.measured < each.dus - 1e-3 for each in found),
        "planned_worse": sum(each.measured > each.dus + 1e-3 for each in found),
        "planned_neighbours": sum(each.measured > each.neighbours + 1e-3 for each in found),
    }
