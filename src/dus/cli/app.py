"""The commands under one name. Importing them costs little: each imports what is heavy when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from dus.cli.analyze import analyze
from dus.cli.batch import batch
from dus.cli.bench import bench
from dus.cli.calibrate import calibrate
from dus.cli.compare import compare
from dus.cli.demo import demo
from dus.cli.eval import evaluate
from dus.cli.generate import generate
from dus.cli.infill import infill
from dus.cli.lm_eval import lm_eval
from dus.cli.planners import planners
from dus.cli.report import report
from dus.cli.schedule import schedule
from dus.cli.serve import serve
from dus.cli.theory import theory
from dus.cli.train import train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _print_version(wanted: bool) -> None:
    if wanted:
        import dus

        typer.echo(f"dus {dus.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def dus(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Planners for masked diffusion language models: which masked tokens are written when."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (
    generate, infill, compare, schedule, planners, demo, analyze, calibrate, bench, train, report, serve, batch,
):  # fmt: skip
    app.command()(command)
app.command("eval")(evaluate)
app.command("lm-eval", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(lm_eval)
app.add_typer(theory, name="theory")
