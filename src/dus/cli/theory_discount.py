"""`dus theory discount`: the discounted entropy bound on sources whose conditionals are known."""

from __future__ import annotations

from typing import Annotated

import typer

from dus.cli.measuring import check_targets, tell
from dus.cli.options import Page

NAMES = ("first order", "second order, sticky", "second order, two strands", "third order, sticky", "hidden chain")


def discount(
    context: typer.Context,
    *,
    block_length: Annotated[int, typer.Option(min=2, max=16, help="Positions of the block.")] = 16,
    rate: Annotated[float, typer.Option(help="The mixing rate of the chains, between 0 and 1.")] = 0.9,
    copies: Annotated[float, typer.Option(help="That of the source of copies at a distance.")] = 0.99,
    rho: Annotated[float, typer.Option(min=0, max=1, help="What deb discounts by.")] = 0.7,
    samples: Annotated[int, typer.Option(min=2, help="Sequences behind each estimate.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    page: Page = None,
) -> None:
    """Measure what deb loses and what it sums on chains, beside DUS, EB, CB and the best schedule at equal calls.

    Among the sources are two that copy tokens at a distance, where a discount by distance fails, and shares by offset
    do not.
    """
    from dus.lab.theory.discounted import discounted
    from dus.lab.theory.randoms import KINDS, strands
    from dus.lab.theory.report import discounted as report

    check_targets(page)
    sources = [KINDS[kind].source(rate, seed) for kind in NAMES]
    sources.append(strands(2, 4, copies))
    found = [discounted(source, block_length, rho=rho, samples=samples, seed=seed) for source in sources]
    body = report.page(found, block_length, rho, samples)
    tell(context, "The discounted entropy bound on chains", body)
