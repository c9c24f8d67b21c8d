"""How the cost of a generation grows with its prompt, its answer, its blocks and its batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dus.bench.measure import Bench, Workload
from dus.denoisers import NativeLM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "prompt": ("prompt", (64, 128, 256, 512, 1024, 2048)),
    "new": ("new", (64, 128, 256, 512, 1024)),
    "block": ("block_length", (8, 16, 32, 64, 128)),
    "batch": ("batch", (1, 4, 16, 64)),
}
"""For each way to grow the field of `Workload`, and the values it takes where none are given."""
LABELS = {
    "prompt": "tokens of the prompt",
    "new": "tokens generated",
    "block": "positions of a block",
    "batch": "rows of a batch",
}


def values_for(axis: str, model: NativeLM, setting: Workload) -> list[int]:
    """The usual values of an axis, those with which a canvas fits the model's context and a block what is generated."""
    field, values = AXES[axis]
    grown = [_with(setting, field, value) for value in values]
    context = model.max_length or float("inf")
    return [
        value
        for value, each in zip(values, grown, strict=True)
        if each.prompt + each.new <= context and each.block_length <= each.new
    ]


def grow(
    model: NativeLM,
    setting: Workload,
    axis: str,
    values: Sequence[int],
    caches: Sequence[str],
    *,
    with_textbook: bool = False,
    variants: Mapping[str, NativeLM] | None = None,
    tell: Callable[[str], object] = lambda point: None,
) -> dict[str, Any]:
    """Time all ways at each value of one field of a setting; `tell` hears of each value before its turn.

    Returns:
        `axis`, and `points`: for each value `value` and `lines`, those of `Bench.brief`.
    """
    points = []
    for value in values:
        tell(f"{value} {LABELS[axis]}")
        bench = Bench(model, _with(setting, AXES[axis][0], value))
        points.append({"value": value, "lines": bench.brief(caches, with_textbook=with_textbook, variants=variants)})
    return {"axis": axis, "points": points}


def _with(setting: Workload, field: str, value: int) -> Workload:
    changed: dict[str, Any] = {field: value}
    return replace(setting, **changed)


def draw(path: Path, growth: dict[str, Any]) -> None:
    """Seconds and memory of each way over the values, as `path.png` and `path.svg`.

    Args:
        path: Without a suffix.
        growth: A curve as `grow` returns it.
    """
    from dus.writing.style import tiles

    panels = [("seconds", "seconds of a generation"), ("memory", "memory over the weights (MB)")]
    known = all(line["memory"] is not None for point in growth["points"] for line in point["lines"])
    with tiles(path, 2 if known else 1, 3.4, 2.9) as axes:
        for axis, (quantity, title) in zip(axes, panels, strict=False):
            _curves(axis, growth, quantity)
            axis.set_title(title, loc="left")
        axes[0].legend()


def _curves(axis: Axes, growth: dict[str, Any], quantity: str) -> None:
    """One quantity of each way."""
    from matplotlib.ticker import LogLocator, NullLocator

    from dus.writing.style import colours

    values = [point["value"] for point in growth["points"]]
    names = [line["name"] for line in growth["points"][0]["lines"]]
    colour = colours(names)
    for number, name in enumerate(names):
        found = [point["lines"][number][quantity] / (1e6 if quantity == "memory" else 1) for point in growth["points"]]
        axis.plot(values, found, marker="o", markersize=3.5, color=colour[name], label=name)
    axis.set_xscale("log", base=2)
    if quantity == "seconds":
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")  # its own would be formulas, which pictures here do not read
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xticks(values, [str(value) for value in values])
    axis.set_xlabel(LABELS[growth["axis"]])
