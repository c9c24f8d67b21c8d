"""`dus report`: the page, the tables and the pictures of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli.output import command_line


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a sweep, `--out` of dus eval.")],
    *,
    out: Annotated[Path | None, typer.Option(help="The page, a Markdown file.", show_default="DIR/report.md")] = None,
    title: Annotated[str, typer.Option(help="What the page is about, for its title.", show_default=False)] = "",
    paper: Annotated[bool, typer.Option("--paper", help="Print the paper's figures beside.")] = False,
    field: Annotated[
        bool, typer.Option("--field", help="Compare many planners over many tasks: AUP, peers at equal calls.")
    ] = False,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Results of lm-eval's own model hf, drawn as a line; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Make the report of a sweep, of as much of it as is finished.

    Pictures (PNG, SVG) and tables (CSV) go into a folder beside the page, of the same name without suffix.
    """
    from dus.cli import InputError
    from dus.evaluation.report import write, write_field

    command = command_line()
    if field:
        if paper or reference:
            raise InputError("--field compares planners over tasks, and has no --paper or --reference")
        typer.echo(str(write_field(folder, out or folder / "report.md", command=command, title=title)))
        return
    page = write(
        folder,
        out or folder / "report.md",
        command=command,
        paper=paper,
        title=title,
        references=reference or (),
    )
    typer.echo(str(page))
