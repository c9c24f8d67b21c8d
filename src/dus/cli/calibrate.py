"""`dus calibrate`: what a planner needs to know of a model or of its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import InputError
from dus.cli import texts as options
from dus.cli.options import Device, Dtype, MaskTokenId, MaxNewTokens, Model, Revision, TrustRemoteCode

LEVELS = ("calls", "quality", "max_new_tokens")
"""Options that mean something where levels are chosen, and nothing elsewhere."""


def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where what is found goes, as JSON.")],
    *,
    planner: Annotated[
        str, typer.Option(help="The planner that it is for: levels; pc, which counts tokens; or deb.")
    ] = "levels",
    calls: Annotated[int | None, typer.Option(min=1, help="The most denoiser calls for all the new tokens.")] = None,
    quality: Annotated[float | None, typer.Option(min=0, help="The most nats a token that may be lost.")] = None,
    max_new_tokens: MaxNewTokens = 64,
    block_length: Annotated[str, typer.Option(help="Block lengths to choose from, separated by commas.")] = "8,16",
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
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was measured to this page.")] = None,
) -> None:
    """Choose block length and levels for a model, for a number of calls or for a quality.

    Half of the texts say how much any two known tokens of a block tell of every other; from that the levels follow.
    The other half say what they lose, beside DUS and groups of neighbours. The planner levels(file='FILE') runs them.

    With --planner pc the tokens of the texts are counted instead, for the planner pc(file='FILE'). With --planner deb
    it is measured what share of a token's entropy another one tells of, at each distance within the longest block, for
    deb(file='FILE').
    """
    options.check_targets(out, page)
    if planner == "pc":
        _without(context, "--planner pc only counts tokens", *LEVELS, "block_length", "page")
        _frequencies(context, out)
        return
    if planner == "deb":
        _without(context, "--planner deb measures dependence over distance", *LEVELS)
        _shares(context, out, page)
        return
    if planner != "levels":
        raise InputError(f"nothing can be made for the planner {planner!r}; known are levels, pc, deb")
    from dus.lab.theory.calibrate import calibrate as calibrated
    from dus.lab.theory.report import calibration as report

    lengths = options.numbers("--block-length", block_length, 2)
    found = options.measured(context, length=max(lengths))
    best = calibrated(found.model, found.texts, lengths, max_new_tokens, calls=calls, quality=quality, seed=seed)
    best.write(out, command=options.typed(context), model=found.name)
    typer.echo(report.section(best))
    typer.echo(f"levels(file='{out}') with a block length of {best.chosen.block_length}, or without the file:")
    typer.echo(str(best.chosen.planner))
    if page is not None:
        options.written_page(page, f"Levels for {found.name}", options.typed(context), report.page(best, str(out)))


def _without(context: typer.Context, instead: str, *names: str) -> None:
    """Refuse options that are about levels.

    Raises:
        InputError: one of them was given.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(f"--{name.replace('_', '-')} is about levels, and {instead}")


def _shares(context: typer.Context, out: Path, page: Path | None) -> None:
    """Measure what tokens share by their distance."""
    from dus.lab.theory.shares import shares, write_shares

    longest = max(options.numbers("--block-length", context.params["block_length"], 2)) - 1
    found = options.measured(context, length=2 * longest)
    measured = shares(found.model, found.texts, longest, seed=context.params["seed"])
    write_shares(out, measured, {"command": options.typed(context), "model": found.name})
    typer.echo(measured.words)
    typer.echo(f"deb(file='{out}')")
    if page is not None:
        body = (
            "The share of a token's entropy that another one tells of, by their distance: what drawing both at once "
            f"loses, over the entropy of one. Means over {len(measured.pairs[0].joint)} texts; what stands before the "
            f"block is known, all else is masked.\n\n{measured.words}\n\n`deb(file='{out}')` runs with it."
        )
        options.written_page(page, f"Shares for {found.name}", options.typed(context), body)


def _frequencies(context: typer.Context, out: Path) -> None:
    """Count the tokens of the texts."""
    from dus.lab.theory.frequencies import frequencies, write_frequencies

    found = options.measured(context, length=1)
    counts = frequencies(found.texts)
    about = {"command": options.typed(context), "model": found.name}
    write_frequencies(out, counts, found.model.vocab_size, about)
    typer.echo(f"{sum(counts.values())} tokens of {len(found.texts)} texts, {len(counts)} different ones")
    typer.echo(f"pc(file='{out}')")
