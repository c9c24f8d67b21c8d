"""`dus theory discount`: the discounted entropy bound on sources whose conditionals are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import texts as options

NAMES = ("first order", "second order, sticky", "second order, two strands", "third order, sticky", "hidden chain")


def discount(
    context: typer.Context,
    *,
    block_length: Annotated[int, typer.Option(min=2, max=16, help="Positions of the block.")] = 16,
    rate: Annotated[float, typer.Option(help="The mixing rate of the chains, between 0 and 1.")] = 0.9,
    copies: Annotated[float, typer.Option(help="That of the source of copies at a distance.")] = 0.99,
    rho: Annotated[float, typer.Option(min=0, max=1, help="What deb discounts by.")] = 0.7,
    samples: Annotated[int, typer.Option(min=2, help="Sequences behind each estimate.")] = 500,
    seed: options.Seed = 0,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")] = None,
) -> None:
    """Measure what deb loses and what it sums on chains, beside DUS, EB, CB and the best schedule at equal calls.

    Among the sources are two that copy tokens at a distance, where a discount by distance fails, and shares by offset
    do not.
    """
    from dus.lab.theory.discounted import discounted
    from dus.lab.theory.kinds import KINDS, strands
    from dus.lab.theory.report import discounted as report

    options.check_targets(page)
    sources = [KINDS[kind].source(rate, seed) for kind in NAMES]
    sources.append(strands(2, 4, copies))
    found = [discounted(source, block_length, rho=rho, samples=samples, seed=seed) for source in sources]
    body = report.page(found, block_length, rho, samples)
    typer.echo(body)
    if page is not None:
        options.written_page(page, "The discounted entropy bound on chains", options.typed(context), body)
