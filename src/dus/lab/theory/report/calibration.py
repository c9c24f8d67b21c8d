"""What `dus calibrate` says of the schedules that it measured."""

from __future__ import annotations

from dus.lab.theory.calibrate import Calibration, Option
from dus.lab.theory.report.tables import nats
from dus.writing.tables import markdown


def section(found: Calibration) -> str:
    """The options, the one that was taken, and its levels, as Markdown."""
    best = found.chosen
    rows = [
        (f"`{option.name}`", option.block_length, len(option.levels), option.calls, _loss(option), _mark(option, best))
        for option in found.options
    ]
    levels = "\n".join(_drawn(level, best.block_length) for level in best.levels)
    head = ("schedule", "block length", "steps", f"calls for {found.tokens} tokens", "lost, nats a token", "taken")
    return f"""{markdown(head, rows)}

Lost: above token by token, left to right, on {found.texts} texts that the levels were not made from.

```
{levels}
```
"""


def page(found: Calibration, file: str) -> str:
    """The section, under what it is about, and what to do with the file."""
    return f"""For each block length and number of steps the levels that a search found to lose least, from how much
known tokens of a block tell of the others; beside them DUS, where it takes as many steps, and groups of neighbours.

{section(found)}
`levels(file='{file}')` is the planner that runs them, with a block length of {found.chosen.block_length}.
"""


def _loss(option: Option) -> str:
    return f"{nats(option.loss.nats)} ± {nats(option.loss.error)}"


def _mark(option: Option, best: Option) -> str:
    return "×" if option is best else ""


def _drawn(level: list[int], length: int) -> str:
    return "".join("■" if place in level else "·" for place in range(length))
