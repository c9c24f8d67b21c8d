"""`dus planners`: every planner with its rule and its fields."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError, options
from dus.cli.output import as_json

if TYPE_CHECKING:
    from rich.console import Console

    from dus.planners import Planner


@dataclass(frozen=True)
class Page:
    """A planner's docstring, taken apart.

    Attributes:
        name: The planner's name in texts.
        summary: The first line.
        body: The paragraphs after it; a formula keeps its indentation.
        fields: For each field its name in texts, its default and what it means.
        wraps: Whether it stands behind another planner and a bar.
        main: The field that it is about; empty where there is none.
    """

    name: str
    summary: str
    body: list[str]
    fields: list[dict[str, Any]]
    wraps: bool
    main: str

    @property
    def form(self) -> str:
        """The text form, each field with its default, or an ellipsis where it has none."""
        values = ", ".join(
            f"{field['name']}={'…' if field['default'] is None else field['default']}" for field in self.fields
        )
        return f"{'… | ' if self.wraps else ''}{self.name}({values})"

    @property
    def formulas(self) -> list[str]:
        """The indented paragraphs."""
        return [paragraph for paragraph in self.body if paragraph.startswith(" ")]


def planners(
    name: Annotated[
        str | None, typer.Argument(help="Name of a planner; all that is known of it is then printed.")
    ] = None,
    json: options.Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of the guide to planners, in Markdown.")
    ] = False,
) -> None:
    """List the planners with their rules and fields, or describe one."""
    from rich.console import Console

    from dus.planners import registered

    known = registered()
    if name is not None and name not in known:
        raise InputError(f"no planner is named {name!r}; known are {', '.join(known)}")
    pages = [page(label, known[label]) for label in ([name] if name else known)]
    console = Console(highlight=False)
    if markdown:
        typer.echo(table(pages))
    elif json:
        found = [_record(each) for each in pages]
        typer.echo(as_json(found[0] if name else found))
    elif name:
        _describe(console, pages[0])
    else:
        _list(console, pages)


def page(name: str, planner: type[Planner]) -> Page:
    """What the docstring of a planner class says, and what those of its bases say of the fields they give it."""
    from dus.planners.fields import text_fields

    about: dict[str, str] = {}
    for cls in reversed(planner.__mro__):
        about.update(_meanings(_sections(cls)[1]))
    shown = text_fields(planner)
    first, *body = re.split(r"\n\n", _sections(planner)[0])
    return Page(
        name=name,
        summary=first,
        body=body,
        fields=[
            {"name": label, "default": _default(planner, field.name), "meaning": about.get(label, "")}
            for label, field in shown.items()
        ],
        wraps="inner" in {field.name for field in fields(planner)},  # type: ignore[arg-type]
        main=next((label for label, field in shown.items() if "main" in field.metadata), ""),
    )


def table(pages: list[Page]) -> str:
    """One line a planner: its text with the field that it is about, its first line, and the papers that it names."""
    from dus.writing.tables import markdown

    rows = []
    for found in pages:
        form = f"`{'… | ' if found.wraps else ''}{found.name}{f'({found.main}=…)' if found.main else ''}`"
        words = " ".join(" ".join([found.summary, *found.body]).split())
        papers = dict.fromkeys(re.findall(r"arXiv (\d{4}\.\d{5})", words))
        links = ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in papers)
        rows.append([text.replace("|", "\\|") for text in (form, " ".join(found.summary.split()), links)])
    return markdown(("text", "at each step, of the block's masked positions", "from"), rows, names=3)


def _sections(cls: type) -> tuple[str, str]:
    """A class's own docstring before its attributes, and the attributes."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    before, _, attributes = text.partition("\nAttributes:\n")
    return before.rstrip(), inspect.cleandoc(attributes)


def _meanings(attributes: str) -> dict[str, str]:
    """Each attribute's description on one line."""
    entries = re.findall(r"^(\w+): (.*(?:\n +.*)*)", attributes, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _default(planner: type[Planner], field: str) -> Any:
    """The default of a field, a planner as its text; the main rule of a ranked planner is given by its constructor."""
    value = next(each.default for each in fields(planner) if each.name == field)  # type: ignore[arg-type]
    return None if value is MISSING else value


def _record(found: Page) -> dict[str, Any]:
    return {
        "name": found.name,
        "rule": found.summary,
        "formulas": [inspect.cleandoc(formula) for formula in found.formulas],
        "fields": found.fields,
        "wraps": found.wraps,
    }


def _list(console: Console, pages: list[Page]) -> None:
    """Each planner's text form, first line and first formula; those that wrap another one at the end."""
    from rich.text import Text

    for found in sorted(pages, key=lambda each: each.wraps):
        console.print(Text(found.form, style="bold"))
        console.print(Text(_filled(found.summary, 2, console.width)))
        for formula in found.formulas[:1]:
            console.print(Text(_filled(formula, 6, console.width), style="cyan"))
        console.print()
    console.print(Text("… is any planner: eb(gamma=2) | spaced(gap=8). One in full: dus planners NAME.", style="dim"))


def _filled(paragraph: str, indent: int, width: int) -> str:
    """A paragraph broken at the width; a formula keeps its lines, and what is too long for one goes on further in."""
    formula = paragraph.startswith(" ")
    lines = inspect.cleandoc(paragraph).split("\n") if formula else [" ".join(paragraph.split())]
    margin = " " * indent
    hang = margin + "    " * formula
    return "\n".join(
        textwrap.fill(line, width, initial_indent=margin, subsequent_indent=hang, break_on_hyphens=False)
        for line in lines
    )


def _describe(console: Console, found: Page) -> None:
    """The whole docstring: paragraphs filled to the screen, formulas as they stand, fields as a table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(found.form, style="bold"))
    for paragraph in [found.summary, *found.body]:
        formula = paragraph.startswith(" ")
        text = _filled(paragraph, 4 if formula else 0, console.width)
        console.print(Text(f"\n{text}", style="cyan" if formula else ""))
    if found.fields:
        table = Table(box=box.HORIZONTALS, pad_edge=False)
        for header in ("field", "default", "meaning"):
            table.add_column(header, no_wrap=header == "field")
        for field in found.fields:
            default = "" if field["default"] is None else str(field["default"])
            table.add_row(Text(field["name"]), Text(default), Text(field["meaning"]))
        console.print()
        console.print(table)
