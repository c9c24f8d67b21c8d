"""`dus theory`: what a schedule loses, on sources whose every conditional is known and on trained denoisers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import InputError, theory_english
from dus.cli.measuring import KNOWN_OF_SOURCE, TEXTS, check_targets, measured, tell
from dus.cli.options import MODEL, Page, numbers, pick, takes
from dus.cli.theory_discount import discount
from dus.writing.tables import filled


@takes(TEXTS, MODEL)
def gap(
    context: typer.Context,
    *,
    spacing: Annotated[str, typer.Option(help="Spacings, separated by commas.")] = "1,2,4,8,16",
    group: Annotated[str, typer.Option(help="Sizes of groups, separated by commas.")] = "2",
    draws: Annotated[
        int, typer.Option(min=1, help="How many orders, with tokens of their own, each text and group gets.")
    ] = 2,
    page: Page = None,
    seed: int,
) -> None:
    """Measure how much tokens depend on each other, over their spacing.

    For groups of tokens under a model the page has the sum of the group's marginal entropies against its joint entropy
    by the chain rule, over the model's own conditionals; what drawing the group at once loses against drawing it one by
    one; and whether that falls exponentially with the spacing.
    """
    from dus.lab.theory.gap import exact_gap, gaps
    from dus.lab.theory.report import gap as report

    check_targets(page, pictures=True)
    spacings, sizes = numbers("--spacing", spacing, 1), numbers("--group", group, 2)
    widest = max(spacings)
    found = measured(context, length=widest * max(sizes))
    results = gaps(found.model, found.texts, spacings, sizes, draws=draws, seed=seed)
    exact = {
        (each.spacing, each.size): exact_gap(found.source, each.spacing, each.size, widest, KNOWN_OF_SOURCE)
        for each in results
        if found.source is not None
    }
    curves = report.fitted(results)
    body = report.section(results, curves, exact)
    if page is not None:
        report.draw(page.parent, page.stem, results, curves)
    whole = None if page is None else report.page(body, page.stem, results)
    tell(context, f"Dependence over distance: {found.name}", body, whole)


@takes(TEXTS, MODEL)
def long(
    context: typer.Context,
    *,
    known: Annotated[str, typer.Option(help="Known tokens right before a block, separated by commas.")] = "8,16,32,64",
    fill: Annotated[
        bool, typer.Option("--fill", help="Put other texts, whole, in front of each that is too short.")
    ] = False,
    block_length: Annotated[int, typer.Option(min=2, help="How many positions a block has.")] = 16,
    spacing: Annotated[str, typer.Option(help="Spacings of pairs, separated by commas.")] = "1,2,4,8",
    turns: Annotated[
        str | None,
        typer.Option(
            help="Solved problems before a question, separated by commas; answers are scored.", show_default=""
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many questions are answered.")] = 200,
    planner: Annotated[list[str], typer.Option(help="A planner of the answers; may be repeated.")] = [  # noqa: B006
        "confidence",
        "confidence(like=dus)",
        "dus",
    ],
    page: Page = None,
    task: str,
    level: int,
    kind: str | None,
    seed: int,
) -> None:
    """Measure dependence and losses as more before a block is known.

    The blocks are the same for all contexts. With --turns, problems are also answered behind other problems, solved.
    """
    from dus.evaluation.tasks import get
    from dus.lab.theory.long import answers, contexts, preceded
    from dus.lab.theory.report import long as report

    check_targets(page, pictures=True)
    if turns is not None and kind is not None:
        raise InputError("--turns needs a model that answers, and a source does not")
    lengths, spacings = numbers("--known", known, 0), numbers("--spacing", spacing, 1)
    asked = [] if turns is None else numbers("--turns", turns, 0)
    found = measured(context, length=max(block_length, 2 * max(spacings)), known=max(lengths))
    longer = preceded(found.texts, max(lengths)) if fill else found.texts
    results = list(contexts(found.model, longer, lengths, block_length=block_length, spacings=spacings, seed=seed))
    answered = []
    if asked:
        answered = list(answers(found.model, get(task), level, asked, planner, limit=limit, block_length=block_length))
    body, more = report.section(results), report.answers(answered, limit)
    if page is not None:
        report.draw(page.parent, page.stem, results)
    whole = None if page is None else report.page(body, more, page.stem, results, block_length)
    tell(context, f"Long contexts: {found.name}", f"{body}\n{more}", whole)


@takes(TEXTS, MODEL)
def order(
    context: typer.Context,
    *,
    block_length: Annotated[str, typer.Option(help="Block lengths, separated by commas.")] = "8,16,32",
    page: Page = None,
    seed: int,
) -> None:
    """Measure what DUS's groups lose in each order.

    Beside them stand groups of neighbours and random ones.
    """
    from dus.lab.theory.losses import orders
    from dus.lab.theory.report.measured import TEMPLATES
    from dus.lab.theory.report.measured import orders as section

    check_targets(page)
    lengths = numbers("--block-length", block_length, 2)
    found = measured(context, length=max(lengths))
    sections = [section(orders(found.model, found.texts, length, seed=seed)) for length in lengths]
    whole = filled(TEMPLATES / "order.md", body="".join(sections))
    tell(context, f"The order of DUS's groups: {found.name}", "\n".join(sections), whole)


@takes(pick(TEXTS, "level"), MODEL, level=2)
def blocks(
    context: typer.Context,
    *,
    block_length: Annotated[str, typer.Option(help="Fixed block lengths, separated by commas.")] = "4,8,16,32",
    bits: Annotated[
        str, typer.Option(help="Bounds, in bits, of lengths that are chosen, separated by commas.")
    ] = "0,1,2,4,8,16,32,64",
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Another rule, as adablock(ids='17'); may be repeated.", show_default=False),
    ] = None,
    planner: Annotated[str, typer.Option(help="Text of a planner.")] = "dus",
    task: Annotated[str, typer.Option(help="The task whose held-out problems are answered.")] = "arithmetic",
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many problems are answered.")] = 500,
    page: Page = None,
    level: int,
    model: str | None,
) -> None:
    """Count right answers with block lengths chosen by the model.

    Beside them stand fixed block lengths at as many calls.
    """
    from dus.cli.loading import load_asked
    from dus.evaluation.tasks import get
    from dus.lab.theory.long import tried
    from dus.lab.theory.report.measured import TEMPLATES
    from dus.lab.theory.report.measured import lengths as section

    check_targets(page)
    fixed, bounds = numbers("--block-length", block_length, 1), numbers("--bits", bits, 0)
    chosen = [f"auto(bits={bound}, shortest={min(fixed)}, longest={max(fixed)})" for bound in bounds]
    asked = get(task)
    tries = tried(load_asked(context), asked, level, [*fixed, *chosen, *(rule or ())], planner=planner, limit=limit)
    body = section(list(tries))
    title = f"Block lengths: `{model or 'bundled'}` on {task}, level {level}"
    tell(context, title, body, filled(TEMPLATES / "lengths.md", body=body, planner=planner, limit=limit))


theory = typer.Typer(help="What a schedule loses, on known sources and on trained denoisers.", no_args_is_help=True)


@theory.command()
def report(
    out: Annotated[Path, typer.Option(help="Folder that theory.md and its pictures are written to.")] = Path(
        "docs/research"
    ),
    quick: Annotated[bool, typer.Option(help="Look at little, in seconds, to see that it runs.")] = False,
) -> None:
    """Measure schedules on Markov chains, and write a page."""
    from dus.lab.theory.report import FULL, QUICK, write

    page = write(out, QUICK if quick else FULL, tell=lambda study: typer.echo(f"{study} …", err=True))
    typer.echo(str(page))


@theory.command()
def best(
    kind: Annotated[str, typer.Option(help="The source: first order, hidden chain, …")] = "second order, sticky",
    rate: Annotated[float, typer.Option(help="Its mixing rate, between 0 and 1.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Which random source.")] = 0,
    block_length: Annotated[int, typer.Option(min=2, help="How many positions the block has.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="How many denoiser calls the schedule takes.")] = 4,
    planner: Annotated[str, typer.Option(help="A planner whose positions are known beforehand, to compare.")] = "dus",
) -> None:
    """Find the schedule that loses least on a source."""
    from dus.lab.theory import TheoryError, all_entropies, best_schedules, divergence, schedule_of
    from dus.lab.theory.randoms import KINDS

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


english = (theory_english.language, theory_english.written, theory_english.filled, theory_english.judged)
for command in (discount, gap, long, order, blocks, *english):
    theory.command()(command)
