"""Requests of mixed sizes: one engine that lets rows in as places are free, beside batches that move together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dus.bench.measure import Workload
from dus.bench.timing import side_by_side
from dus.decoding import Engine, GenerationError, Settings, Step
from dus.denoisers import NativeLM
from dus.writing.tables import markdown

LEAST = 16
"""Tokens of the shortest prompt and of the shortest answer."""
_SHADES = ("#0072B2", "#56B4E9")
NOTES = """What the lines and columns say:

- *batches, each as asked*: requests are taken in order, as many at a time as there are places, and the next ones begin
  when all of these are done. A row that is done leaves its batch.
- *batches, all as the longest*: the same, with all answers of a batch as long as its longest, as one call of
  `dus.generate` gives them.
- *columns over needed*: canvas columns that were computed, divided by those that each request needs alone.
- *late*: denoiser calls that were made while a request waited although a place was free.

In the picture each bar is a request. Its shade changes each time as many requests have begun as there are places."""


@dataclass(frozen=True)
class Request:
    """A prompt, int64 `[P]`, and how many tokens are asked for."""

    prompt: Tensor
    new: int


def drawn(model: NativeLM, setting: Workload, count: int) -> list[Request]:
    """Requests with prompts of 16 to `setting.prompt` random tokens and answers of 16 to `setting.new`.

    Raises:
        GenerationError: The largest are smaller than 16, or do not fit the model's context.
    """
    if min(setting.prompt, setting.new) < LEAST:
        raise GenerationError(f"requests have prompts and answers of {LEAST} tokens at least")
    if model.max_length is not None and setting.prompt + setting.new > model.max_length:
        raise GenerationError(
            f"{setting.prompt} and {setting.new} tokens are more than the model's context of {model.max_length}"
        )
    source = torch.Generator().manual_seed(0)

    def size(most: int) -> int:
        return int(torch.randint(LEAST, most + 1, (), generator=source))

    return [
        Request(
            torch.randint(2, model.vocab_size, (size(setting.prompt),), generator=source),
            size(setting.new),
        )
        for _ in range(count)
    ]


def serve(model: NativeLM, setting: Workload, cache: str, batches: Sequence[Sequence[Request]]) -> dict[str, Any]:
    """Decode batches of requests, the next one when all of a batch are done.

    Returns:
        `columns` and `calls` of the engine, `late`: the calls in which a request waited beside a free place, and
        `spans`: for each request its first call and the one after its last.
    """
    engine = Engine(model, rows=setting.batch, cache=cache)
    late = 0
    spans: dict[int, tuple[int, int]] = {}
    for batch in batches:
        for request in batch:
            settings = Settings(
                planner=setting.planner,
                max_new_tokens=request.new,
                block_length=None if model.block_length else setting.block_length,
                eos="ignore",
                scores=False,
            )
            engine.submit(request.prompt, settings)
        while len(engine):
            due = min(setting.batch, len(engine))
            events = engine.step()
            moved = [row for event in events if isinstance(event, Step) for row in event.rows]
            late += due - len(moved)
            spans |= {row: (spans.get(row, (engine.calls - 1, 0))[0], engine.calls) for row in moved}
    return {"columns": engine.columns, "calls": engine.calls, "late": late, "spans": list(spans.values())}


def measure(model: NativeLM, setting: Workload, count: int, cache: str) -> dict[str, Any]:
    """Time an engine of `setting.batch` places on mixed requests, beside batches of as many in order.

    Returns:
        `count`, `cache`, `needed` (columns of all requests, each alone), and `lines`: for each way its
        `name`, `seconds` (median), `columns`, `calls`, `late` and `spans`.
    """
    requests = drawn(model, setting, count)
    groups = [requests[first : first + setting.batch] for first in range(0, count, setting.batch)]
    longest = [[replace(request, new=max(one.new for one in group)) for request in group] for group in groups]
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "engine": partial(serve, model, setting, cache, [requests]),
        "batches, each as asked": partial(serve, model, setting, cache, groups),
        "batches, all as the longest": partial(serve, model, setting, cache, longest),
    }
    counts = {name: way() for name, way in ways.items()}
    alone = serve(model, replace(setting, batch=1), cache, [[request] for request in requests])
    seconds = side_by_side(ways, setting.repeats)
    lines = [{"name": name, "seconds": seconds[name], **counts[name]} for name in ways]
    return {"count": count, "cache": cache, "needed": alone["columns"], "lines": lines}


def table(found: dict[str, Any]) -> str:
    """A line a way, as Markdown."""
    first = found["lines"][0]
    rows = [
        [
            line["name"],
            f"{line['seconds']:.2f}",
            f"{line['seconds'] / first['seconds']:.2f}×",
            str(line["calls"]),
            f"{line['columns'] / found['needed']:.3f}",
            str(line["late"]),
        ]
        for line in found["lines"]
    ]
    return markdown(["", "seconds", "over the engine", "calls", "columns over needed", "late"], rows)


def draw(path: Path, found: dict[str, Any], places: int) -> None:
    """Which request is in which place at which denoiser call, as `path.png` and `path.svg`.

    Args:
        path: Without a suffix.
        found: What `measure` returned.
        places: How many there are.
    """
    from dus.writing.style import PAPER, panels, whole_ticks

    lines = found["lines"]
    last = max(line["calls"] for line in lines)
    with panels(path, len(lines), 1, 8, 1.5, sharex=True) as axes:
        for (axis,), line in zip(axes, lines, strict=True):
            free = [0] * places
            for number, (first, end) in enumerate(sorted(line["spans"])):
                place = min((place for place in range(places) if free[place] <= first), key=free.__getitem__)
                free[place] = end
                shade = _SHADES[number // places % len(_SHADES)]
                axis.broken_barh([(first, end - first)], (place - 0.42, 0.84), color=shade, edgecolor=PAPER)
            axis.set_title(f"{line['name']}: {line['calls']} calls", loc="left")
            axis.set_ylabel("place")
            axis.set_ylim(places - 0.5, -0.5)
            axis.set_xlim(0, last)
            whole_ticks(axis.yaxis)
        axes[-1][0].set_xlabel("denoiser call")
