"""`dus theory`: what a schedule loses, on sources whose every conditional is known and on trained denoisers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli.theory_discount import discount
from dus.cli.theory_english import filled, judged
from dus.cli.theory_language import language, written
from dus.cli.theory_model import blocks, gap, long, order

theory = typer.Typer(help="What a schedule loses, on known sources and on trained denoisers.", no_args_is_help=True)


@theory.command()
def report(
    out: Annotated[Path, typer.Option(help="The directory that theory.md and its pictures go to.")] = Path("docs"),
    quick: Annotated[bool, typer.Option(help="Small settings: seconds, to see that it runs.")] = False,
) -> None:
    """Measure schedules on Markov chains, and write a page with tables and pictures."""
    from dus.lab.theory.report import FULL, QUICK, write

    page = write(out, QUICK if quick else FULL, tell=lambda study: typer.echo(f"{study} …", err=True))
    typer.echo(str(page))


@theory.command()
def best(
    kind: Annotated[str, typer.Option(help="The source: first order, hidden chain, …")] = "second order, sticky",
    rate: Annotated[float, typer.Option(help="Its mixing rate, between 0 and 1.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Which random source.")] = 0,
    block_length: Annotated[int, typer.Option(min=2, help="Positions of the block.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Denoiser calls.")] = 4,
    planner: Annotated[str, typer.Option(help="A planner whose positions are known beforehand, to compare.")] = "dus",
) -> None:
    """Find the schedule that loses least on a source, next to a planner's."""
    from dus.lab.theory import TheoryError, all_entropies, best_schedules, divergence, schedule_of
    from dus.lab.theory.kinds import KINDS

    if kind not in KINDS:
        raise TheoryError(f"no source is called {kind!r}; known are {'; '.join(KINDS)}")
    source = KINDS[kind].source(rate, seed)
    table = all_entropies(source, block_length)
    ours = schedule_of(planner, block_length)
    found = best_schedules(table, steps).schedule(steps)
    typer.echo(f"{source.name}, {source.vocab} tokens, {block_length} positions; divergence in nats")
    for name, groups in ((planner, ours), ("best", found)):
        typer.echo(f"{name}, {len(groups)} calls: {divergence(groups, table.item):.4f}")
        for number, group in enumerate(groups):
            line = "".join("●" if place in group else "·" for place in range(block_length))
            typer.echo(f"  {number + 1:>2}  {line}")


for measured in (discount, gap, long, order, blocks, language, written, filled, judged):
    theory.command()(measured)
