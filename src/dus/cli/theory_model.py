"""`dus theory gap`, `long`, `order` and `blocks`: the theory on a denoiser, its own conditionals and its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import texts as options
from dus.cli.options import Device, Dtype, MaskTokenId, Model, Revision, TrustRemoteCode

Page = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file, with a picture beside it.")
]


def gap(
    context: typer.Context,
    *,
    model: Model = None,
    task: options.Task = "arithmetic",
    level: options.Level = 3,
    texts: options.Count = 64,
    spacing: Annotated[str, typer.Option(help="Spacings, separated by commas.")] = "1,2,4,8,16",
    group: Annotated[str, typer.Option(help="Group sizes, separated by commas.")] = "2",
    draws: Annotated[int, typer.Option(min=1, help="Orders, with tokens of their own, for each text and group.")] = 2,
    kind: options.Kind = None,
    rate: options.Rate = 0.9,
    seed: options.Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    mask_token_id: MaskTokenId = None,
    page: Page = None,
) -> None:
    """Measure how much the tokens of a group depend on each other under a model, over their spacing.

    The sum of the group's marginal entropies against its joint entropy by the chain rule, over the model's own
    conditionals; what drawing the group at once loses against drawing it one by one; and whether that falls
    exponentially with the spacing.
    """
    from dus.lab.theory.gap import exact_gap, gaps
    from dus.lab.theory.report import gap as report
    from dus.lab.theory.report.figures import require_matplotlib

    options.check_targets(page)
    if page is not None:
        require_matplotlib()
    spacings = options.numbers("--spacing", spacing, 1)
    sizes = options.numbers("--group", group, 2)
    widest = max(spacings)
    found = options.measured(context, length=widest * max(sizes))
    measured = gaps(found.model, found.texts, spacings, sizes, draws=draws, seed=seed)
    exact = {
        (each.spacing, each.size): exact_gap(found.source, each.spacing, each.size, widest, options.KNOWN_OF_SOURCE)
        for each in measured
        if found.source is not None
    }
    curves = report.fitted(measured)
    body = report.section(measured, curves, exact)
    typer.echo(body)
    if page is not None:
        report.draw(page.parent, page.stem, measured, curves)
        text = report.page(body, page.stem, measured)
        options.written_page(page, f"Dependence over distance: {found.name}", options.typed(context), text)


def long(
    context: typer.Context,
    *,
    known: Annotated[str, typer.Option(help="Known tokens right before a block, separated by commas.")] = "8,16,32,64",
    fill: Annotated[
        bool, typer.Option("--fill", help="Put other texts, whole, in front of each that is too short.")
    ] = False,
    block_length: Annotated[int, typer.Option(min=2, help="Positions of a block.")] = 16,
    spacing: Annotated[str, typer.Option(help="Spacings of pairs, separated by commas.")] = "1,2,4,8",
    turns: Annotated[
        str | None,
        typer.Option(
            help="Solved problems before a question, separated by commas; answers are scored.", show_default=""
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="Questions that are answered.")] = 200,
    planner: Annotated[list[str], typer.Option(help="Of the answers; may be repeated.")] = [  # noqa: B006
        "confidence",
        "confidence(like=dus)",
        "dus",
    ],
    model: Model = None,
    task: options.Task = "arithmetic",
    level: options.Level = 3,
    texts: options.Count = 64,
    kind: options.Kind = None,
    rate: options.Rate = 0.9,
    seed: options.Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    mask_token_id: MaskTokenId = None,
    page: Page = None,
) -> None:
    """Measure dependence over distance, and what DUS loses, as more and more of what stands before a block is known.

    The blocks are the same for all contexts. With --turns, problems are also answered behind other problems, solved.
    """
    from dus.cli import InputError
    from dus.evaluation.tasks import get
    from dus.lab.theory.long import answers, contexts, preceded
    from dus.lab.theory.report import long as report
    from dus.lab.theory.report.figures import require_matplotlib

    options.check_targets(page)
    if page is not None:
        require_matplotlib()
    if turns is not None and kind is not None:
        raise InputError("--turns needs a model that answers, and a source does not")
    lengths, spacings = options.numbers("--known", known, 0), options.numbers("--spacing", spacing, 1)
    asked = [] if turns is None else options.numbers("--turns", turns, 0)
    found = options.measured(context, length=max(block_length, 2 * max(spacings)), known=max(lengths))
    longer = preceded(found.texts, max(lengths)) if fill else found.texts
    measured = list(contexts(found.model, longer, lengths, block_length=block_length, spacings=spacings, seed=seed))
    answered = (
        list(answers(found.model, get(task), level, asked, planner, limit=limit, block_length=block_length))
        if asked
        else []
    )
    body, more = report.section(measured), report.answers(answered, limit)
    typer.echo(f"{body}\n{more}")
    if page is not None:
        report.draw(page.parent, page.stem, measured)
        text = report.page(body, more, page.stem, measured, block_length)
        options.written_page(page, f"Long contexts: {found.name}", options.typed(context), text)


def order(
    context: typer.Context,
    *,
    block_length: Annotated[str, typer.Option(help="Block lengths, separated by commas.")] = "8,16,32",
    model: Model = None,
    task: options.Task = "arithmetic",
    level: options.Level = 3,
    texts: options.Count = 64,
    kind: options.Kind = None,
    rate: options.Rate = 0.9,
    seed: options.Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    mask_token_id: MaskTokenId = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")] = None,
) -> None:
    """Measure what DUS's groups lose in one order and another, beside groups of neighbours and random ones."""
    from dus.lab.theory.order import orders
    from dus.lab.theory.report import order as report

    options.check_targets(page)
    lengths = options.numbers("--block-length", block_length, 2)
    found = options.measured(context, length=max(lengths))
    sections = [report.section(orders(found.model, found.texts, length, seed=seed)) for length in lengths]
    typer.echo("\n".join(sections))
    if page is not None:
        title = f"The order of DUS's groups: {found.name}"
        options.written_page(page, title, options.typed(context), report.page(sections))


def blocks(
    context: typer.Context,
    *,
    block_length: Annotated[str, typer.Option(help="Fixed lengths, separated by commas.")] = "4,8,16,32",
    bits: Annotated[
        str, typer.Option(help="Bounds of chosen lengths in bits, separated by commas.")
    ] = "0,1,2,4,8,16,32,64",
    planner: Annotated[str, typer.Option(help="Text of a planner.")] = "dus",
    limit: Annotated[int, typer.Option(min=1, max=2000, help="Problems.")] = 500,
    model: Model = None,
    task: Annotated[str, typer.Option(help="Whose held-out problems.")] = "arithmetic",
    level: options.Level = 2,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    mask_token_id: MaskTokenId = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")] = None,
) -> None:
    """Count right answers with block lengths chosen for each sequence, beside fixed ones at as many calls."""
    from dus.cli.loading import load_asked
    from dus.evaluation.tasks import get
    from dus.lab.theory.lengths import tried
    from dus.lab.theory.report import lengths as report

    options.check_targets(page)
    fixed, bounds = options.numbers("--block-length", block_length, 1), options.numbers("--bits", bits, 0)
    chosen = [f"auto(bits={bound}, shortest={min(fixed)}, longest={max(fixed)})" for bound in bounds]
    asked = get(task)
    loaded = load_asked(context)
    body = report.section(list(tried(loaded, asked, level, [*fixed, *chosen], planner=planner, limit=limit)))
    typer.echo(body)
    if page is not None:
        title = f"Block lengths: `{model or 'bundled'}` on {task}, level {level}"
        options.written_page(page, title, options.typed(context), report.page(body, planner, limit))
