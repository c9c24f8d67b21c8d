"""`dus calibrate`: what a planner needs to know of a model or of its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import InputError, options
from dus.cli.measuring import TEXTS, check_targets, measured, tell, typed
from dus.writing.tables import filled, spread

LEVELS = ("calls", "quality", "max_new_tokens")
"""Options that mean something where levels are chosen, and nothing elsewhere."""


@options.takes(options.pick(options.DECODING, "max_new_tokens"), TEXTS, options.MODEL, max_new_tokens=64)
def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file that what is found is written to.")],
    *,
    planner: Annotated[
        str, typer.Option(help="The planner that it is for: levels; pc, which counts tokens; or deb.")
    ] = "levels",
    calls: Annotated[
        int | None, typer.Option(min=1, help="The most denoiser calls that all the new tokens may take.")
    ] = None,
    quality: Annotated[float | None, typer.Option(min=0, help="The most nats a token that may be lost.")] = None,
    block_length: Annotated[str, typer.Option(help="Block lengths to choose from, separated by commas.")] = "8,16",
    page: options.Page = None,
    max_new_tokens: int,
    seed: int,
) -> None:
    """Choose block length and levels for a model, for a budget of calls or a quality.

    Half of the texts say how much any two known tokens of a block tell of every other; from that the levels follow.
    The other half say what they lose, beside DUS and groups of neighbours. The planner levels(file='FILE') runs them.

    With --planner pc the tokens of the texts are counted instead, for the planner pc(file='FILE'). With --planner deb
    it is measured what share of a token's entropy another one tells of, at each distance within the longest block, for
    deb(file='FILE').
    """
    check_targets(out, page)
    if planner == "pc":
        _without(context, "--planner pc only counts tokens", *LEVELS, "block_length", "page")
        _frequencies(context, out)
        return
    if planner == "deb":
        _without(context, "--planner deb measures dependence over distance", *LEVELS)
        _shares(context, out)
        return
    if planner != "levels":
        raise InputError(f"nothing can be made for the planner {planner!r}; known are levels, pc, deb")
    from dus.lab.theory.calibrate import calibrate as calibrated
    from dus.lab.theory.report.measured import TEMPLATES, calibration

    lengths = options.numbers("--block-length", block_length, 2)
    found = measured(context, length=max(lengths))
    best = calibrated(found.model, found.texts, lengths, max_new_tokens, calls=calls, quality=quality, seed=seed)
    best.write(out, command=typed(context), model=found.name)
    body = calibration(best)
    loss = best.chosen.loss
    values = {"chosen": best.chosen, "lost": spread(loss.nats, loss.error)}
    whole = filled(TEMPLATES / "calibration.md", body=body, file=out, **values)
    tell(context, f"Levels for {found.name}", body, whole)
    typer.echo(f"levels(file='{out}') with a block length of {best.chosen.block_length}, or without the file:")
    typer.echo(str(best.chosen.planner))


def _without(context: typer.Context, instead: str, *names: str) -> None:
    """Refuse options that are about levels.

    Raises:
        InputError: One of them was given.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(f"--{name.replace('_', '-')} is about levels, and {instead}")


def _shares(context: typer.Context, out: Path) -> None:
    """Measure what tokens share by their distance."""
    from dus.lab.theory.shares import shares, write_shares

    longest = max(options.numbers("--block-length", context.params["block_length"], 2)) - 1
    found = measured(context, length=2 * longest)
    taken = shares(found.model, found.texts, longest, seed=context.params["seed"])
    write_shares(out, taken, {"command": typed(context), "model": found.name})
    whole = (
        "This page says how much of a token's entropy it shares with another token, by the distance between them. The "
        "share is what is lost when both are drawn at once, divided by the entropy of one. The figures are means over "
        f"{len(taken.pairs[0].joint)} texts. Everything before the block is known, and everything in it is masked."
        f"\n\n- {taken.verdict}\n\n{taken.table}\n\n"
        f"`deb(file='{out}')` runs with it."
    )
    tell(context, f"Shares for {found.name}", taken.words, whole)
    typer.echo(f"deb(file='{out}')")


def _frequencies(context: typer.Context, out: Path) -> None:
    """Count the tokens of the texts."""
    from dus.lab.theory.calibrate import frequencies, write_frequencies

    found = measured(context, length=1)
    counts = frequencies(found.texts)
    about = {"command": typed(context), "model": found.name}
    write_frequencies(out, counts, found.model.vocab_size, about)
    typer.echo(f"{sum(counts.values())} tokens of {len(found.texts)} texts, {len(counts)} different ones")
    typer.echo(f"pc(file='{out}')")
