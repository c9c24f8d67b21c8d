"""Where the seconds go: one speed-up split into fewer calls, cheaper calls and cached calls, and what is left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from dus.bench.measure import Bench, Workload
from dus.bench.textbook import textbook
from dus.bench.timing import Watched, side_by_side
from dus.decoding import GenerationError
from dus.denoisers import NativeLM
from dus.evaluation.intervals import TOKEN_BY_TOKEN
from dus.planners import parse
from dus.writing.tables import markdown

ORDERS = ("dus(order=fine-to-coarse)", "dus(order=random)", "left-to-right(like=dus)")


def where_the_seconds_go(model: NativeLM, setting: Workload, cache: str) -> dict[str, Any]:
    """Time the way from the textbook loop, token by token, to the planner's cached generation, one change at a time.

    Args:
        model: A checkpoint.
        setting: What to generate; its planner is one that does not revise.
        cache: The mode of the last change.

    Returns:
        `cache`, and
        `changes`: for each its `name`, the `calls` of a row, the median `seconds`, and `factor`, the seconds before it
        over its own: schedule (the same loop under the planner: fewer calls), logits (`generate`, nothing cached:
        cheaper calls), cache (cheaper still). The product of the factors is the whole speed-up.
        `floor`: the seconds of the last line's bare forwards; what is over it is the rest.
        `orders`: `name` and `seconds` of the same numbers of positions in another order, in the last line's mode.
    """
    bench, rule = Bench(model, setting), parse(setting.planner)
    if rule.revises:
        raise GenerationError(
            f"{setting.planner} takes tokens back, which the textbook loop does not: name another planner"
        )
    slow = partial(textbook, model, bench.prompts, new=setting.new, block_length=setting.block_length)
    ways: dict[str, Any] = {
        "textbook, token by token": partial(slow, parse(TOKEN_BY_TOKEN)),
        "schedule": partial(slow, rule),
        "logits": partial(bench.tokens, "none"),
        "cache": partial(bench.tokens, cache),
    }
    orders = {text: partial(Bench(model, replace(setting, planner=text)).tokens, cache) for text in ORDERS}
    watched = Watched(model)
    bench.generation(cache, model=watched)
    calls = len(watched.calls)
    seconds = side_by_side({**ways, "floor": watched.replay, **orders}, setting.repeats)
    changes, before = [], None
    for name in ways:
        line = {"name": name, "calls": setting.new if before is None else calls, "seconds": seconds[name]}
        changes.append(line | ({} if before is None else {"factor": before / seconds[name]}))
        before = seconds[name]
    return {
        "cache": cache,
        "changes": changes,
        "floor": seconds["floor"],
        "orders": [{"name": text, "seconds": seconds[text]} for text in ORDERS],
    }


def table(found: dict[str, Any]) -> str:
    """The split as Markdown: a line a change, then the rest over the bare forwards, then the other orders."""
    rows = []
    for line in found["changes"]:
        factor = f"{line['factor']:.2f}×" if "factor" in line else ""
        rows.append((line["name"], str(line["calls"]), f"{line['seconds']:.3f}", factor))
    first, last = found["changes"][0]["seconds"], found["changes"][-1]["seconds"]
    rows.append(("**whole speed-up**", "", "", f"**{first / last:.1f}×**"))
    rows.append(("bare forwards of the last line", "", f"{found['floor']:.3f}", f"rest: {last / found['floor']:.3f}×"))
    rows += [(f"`{line['name']}`", "", f"{line['seconds']:.3f}", "") for line in found["orders"]]
    return markdown(["", "calls", "seconds", "factor"], rows)
