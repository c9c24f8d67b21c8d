"""`dus schedule`: which position is written at which step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dus.cli import InputError, options
from dus.cli.output import as_json, replacing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from dus.planners import Planner

_LABEL = 5  # columns left of the grid


def schedule(
    planner: Annotated[str, typer.Option(help="A planner whose positions are known beforehand.")] = "dus",
    block_length: Annotated[int, typer.Option(min=1, max=4096, help="How many positions the block has.")] = 16,
    json: options.Json = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the drawing to this SVG file.")] = None,
) -> None:
    """Draw a planner's schedule for one block.

    The drawing has a row for each step and a column for each position. Planners that decide by what the model predicts
    have no schedule. In JSON, positions count from 0.
    """
    from dus.decoding.generate import positions_by_step
    from dus.planners import parse

    rule = parse(planner)
    if not rule.scheduled:
        steps = rule.num_steps(block_length)
        count = "" if steps is None else f", though it takes {steps} steps for {block_length} positions"
        raise InputError(f"{rule} has no schedule to draw: which positions it takes depends on the model{count}")
    levels = positions_by_step(rule, block_length)
    if json:
        record = {
            "planner": str(rule),
            "block_length": block_length,
            "nfe": len(levels),
            "speed_up": block_length / len(levels),
            "steps": levels,
        }
        typer.echo(as_json(record))
    elif svg is not None:
        _write_svg(svg, rule, block_length, levels)
    else:
        _draw(_screen(), rule, block_length, levels)


def _screen() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _write_svg(path: Path, planner: Planner, block_length: int, levels: list[list[int]]) -> None:
    """The drawing as a picture, as wide as the block needs."""
    from io import StringIO

    from rich.console import Console
    from rich.terminal_theme import SVG_EXPORT_THEME

    width = max(64, 2 * block_length + _LABEL + 8)
    console = Console(highlight=False, record=True, file=StringIO(), width=width, color_system="truecolor")
    _draw(console, planner, block_length, levels)
    drawing = console.export_svg(title=f"{planner}, a block of {block_length}", theme=SVG_EXPORT_THEME)
    with replacing(path) as file:
        # Rich asks for a web font, which a picture should not fetch; the viewer's own monospaced one will do.
        file.write(re.sub(r"@font-face \{[^}]*\}", "", drawing))


def _draw(console: Console, planner: Planner, block_length: int, levels: list[list[int]]) -> None:
    """The grid, in bands where the block is wider than the screen, and the figures."""
    from rich.text import Text

    room = max(console.width - _LABEL - 8, 8)
    cell = 2 if 2 * block_length <= room else 1
    width = room // cell
    console.print(Text(f"{planner}, a block of {block_length}", style="bold"))
    for start in range(0, block_length, width):
        stop = min(start + width, block_length)
        console.print(Text(f"{'step':<{_LABEL}}") + _ruler(start, stop, cell))
        for number, level in enumerate(levels):
            line = Text(f"{number + 1:>{_LABEL - 2}}  ") + _line(set(level), start, stop, cell, number, len(levels))
            if stop == block_length:
                line.append(f"  {len(level)}")
            console.print(line)
    tokens = " + ".join(str(len(level)) for level in levels)
    console.print(Text(f"tokens a step: {tokens} = {block_length}"))
    console.print(Text(f"NFE {len(levels)}   {block_length / len(levels):.2f} times fewer calls than token by token"))


def _ruler(start: int, stop: int, cell: int) -> Text:
    """The positions' numbers, from 1: at the band's first one, at every fourth or eighth, and nowhere else."""
    from rich.text import Text

    every = 4 if cell == 2 else 8
    line = [" "] * ((stop - start) * cell + 4)
    for position in range(start, stop):
        if position == start or (position + 1) % every == 0:
            label = str(position + 1)
            at = (position - start) * cell
            line[at : at + len(label)] = label
    return Text("".join(line).rstrip(), style="dim")


def _line(level: set[int], start: int, stop: int, cell: int, step: int, steps: int) -> Text:
    """One step's cells: what it writes in its colour, all else a dot."""
    from rich.text import Text

    from dus.cli.colours import DIM, step_ink

    line = Text()
    for position in range(start, stop):
        if position in level:
            line.append("■".ljust(cell), step_ink(step, steps))
        else:
            line.append("·".ljust(cell), DIM)
    return line
