"""`dus demo`: held-out problems under six planners, watched, counted and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from dus.denoisers import MaskedLM
    from dus.evaluation.intervals import Accuracy
    from dus.evaluation.tasks import HeldOut

SOLVED = (("arithmetic", 1), ("arithmetic", 2), ("instructions", 1))
SHOWN = 3
CACHE = "block"  # a quarter of the time that no cache takes; all planners get it
PAUSE = 0.15
PLANNERS = {
    "dus": "DUS",
    "confidence(like=dus)": "self-confidence",
    "eb(gamma=1)": "entropy bound",
    "cb(tau=0.9)": "confidence bound",
    "deb": "discounted bound",
    "confidence(per_step=1)": "token by token",
}


@dataclass(frozen=True)
class Result:
    """What a planner made of the problems of a kind: `nfe` and `tpf` are means over them."""

    texts: list[str]
    accuracy: Accuracy
    nfe: float
    tpf: float
    seconds: float


@options.takes(options.MODEL)
def demo(
    context: typer.Context,
    problems: Annotated[int, typer.Option(min=1, max=500, help="How many problems of each kind are solved.")] = 32,
    block_length: options.BlockLength = 16,
) -> None:
    """Solve held-out problems of three kinds under six planners.

    The planners are DUS, self-confidence at the same number of calls, the entropy bound, the confidence bound, the
    entropy bound discounted by distance (`deb`), and token by token; the kinds are word problems of one operation and
    of two or three, and requests for lists and forms. One of each is watched live under DUS, then all are counted in a
    table, a few requests are shown with their answers, and the last lines say what the table shows. Every planner runs
    with the cache mode `block`, which keeps the whole under a minute on two cores.
    """
    from rich.console import Console

    from dus.cli.loading import load_asked
    from dus.evaluation.tasks import get, held_out

    denoiser = load_asked(context)
    console = Console(highlight=False)
    asked = [held_out(get(task), level, problems) for task, level in SOLVED]
    decodings = [
        {"max_new_tokens": kind.max_new_tokens, "block_length": block_length, "cache": CACHE, "scores": False}
        for kind in asked
    ]
    for kind, decoding in zip(asked, decodings, strict=True):
        _watch(console, denoiser, kind.prompts[0], decoding)
    results: list[dict[str, Result]] = []
    with console.status("warming up") as status:
        _solve(denoiser, asked[0], "dus", decodings[0])
        for kind, decoding in zip(asked, decodings, strict=True):
            results.append({})
            for planner, name in PLANNERS.items():
                status.update(f"{kind.name}: {problems} problems under {name}")
                results[-1][planner] = _solve(denoiser, kind, planner, decoding)
    _show_table(console, asked, results, block_length)
    _show_answers(console, asked[-1], results[-1])
    console.print()
    for sentence in in_words(results):
        console.print(sentence)


def _watch(console: Console, model: MaskedLM, question: str, decoding: dict[str, Any]) -> None:
    """One problem, filling in before the user's eyes."""
    from rich.text import Text

    from dus.cli.watch import Watch
    from dus.decoding import Settings, generate

    console.print(Text(question, style="bold"))
    with Watch(console, model, Settings(planner="dus", **decoding), pause=PAUSE) as view:
        view.finish(generate(model, question, planner="dus", progress=view, **decoding))
    console.print()


def _solve(model: MaskedLM, kind: HeldOut, planner: str, decoding: dict[str, Any]) -> Result:
    """All problems of a kind as one batch, greedily."""
    from dus.decoding import generate
    from dus.evaluation.intervals import Accuracy

    began = time.perf_counter()
    generation = generate(model, kind.prompts, planner=planner, **decoding)
    seconds = time.perf_counter() - began
    texts, nfe, count = generation.text or [], sum(generation.nfe), len(kind.prompts)
    right = sum(kind.score(index, text) == 1 for index, text in enumerate(texts))
    return Result(texts, Accuracy(right, count), nfe / count, sum(generation.useful) / max(nfe, 1), seconds)


def _show_table(console: Console, asked: list[HeldOut], results: list[dict[str, Result]], block_length: int) -> None:
    from rich import box
    from rich.table import Table

    title = f"{len(asked[0].prompts)} held-out problems of each kind, blocks of {block_length}, cache `{CACHE}`"
    table = Table(box=box.HORIZONTALS, pad_edge=False, title=title)
    for name in ("planner", "right", "95% interval", "NFE", "TPF", "s", "speed-up"):
        table.add_column(name, justify="left" if name == "planner" else "right", no_wrap=True)
    for kind, of_kind in zip(asked, results, strict=True):
        table.add_row(f"[bold]{kind.name}")
        for row in _rows(of_kind):
            table.add_row(*row)
        table.add_section()
    console.print(table)


def _rows(results: dict[str, Result]) -> Iterator[tuple[str, ...]]:
    slowest = max(result.seconds for result in results.values())
    for planner, result in results.items():
        low, high = result.accuracy.interval()
        yield (
            f"  {PLANNERS[planner]}",
            f"{result.accuracy.share:.0%}",
            f"{low:.0%} to {high:.0%}",
            f"{result.nfe:.1f}",
            f"{result.tpf:.2f}",
            f"{result.seconds:.2f}",
            f"{slowest / result.seconds:.2f}",
        )


def _show_answers(console: Console, kind: HeldOut, results: dict[str, Result]) -> None:
    """The first problems of a kind with the answer under each planner."""
    from rich.text import Text

    for index, question in enumerate(kind.prompts[:SHOWN]):
        console.print(Text(f"\n{question}", style="dim"))
        for planner, result in results.items():
            text = result.texts[index]
            mark = ("right  ", "bold green") if kind.score(index, text) == 1 else ("wrong  ", "bold red")
            console.print(Text.assemble(f"{PLANNERS[planner]:<17}", mark, " / ".join(text.strip().splitlines())))


def in_words(results: list[dict[str, Result]]) -> Iterator[str]:
    """What the table shows, a sentence at a time; shares and calls are means over the kinds.

    Args:
        results: For each kind of problem the results of each planner.
    """
    share = {planner: fmean(kind[planner].accuracy.share for kind in results) for planner in results[0]}
    calls = {planner: fmean(kind[planner].nfe for kind in results) for planner in results[0]}

    def at(planner: str) -> str:
        name = PLANNERS[planner]
        article = "the " if name.endswith("bound") else ""
        return f"{article}{name} ({share[planner]:.0%} right at {calls[planner]:.1f} calls)"

    slow = "confidence(per_step=1)"
    fast = [planner for planner in share if planner != slow]
    best = max(fast, key=lambda planner: (share[planner], -calls[planner]))
    factor = calls[slow] / calls[best]
    yield "What this shows, as the mean over the three kinds of problems:"
    yield f"- Of the fast planners, {at(best)} solves most."
    yield f"- The slow way, {at(slow)}, makes {factor:.1f} times its calls."
    gap = share["dus"] - share["confidence(like=dus)"]
    compared = f"{abs(gap) * 100:.0f} percentage points {'more' if gap > 0 else 'less'} than" if gap else "as much as"
    yield f"- At the same number of calls, DUS solves {compared} self-confidence."
    beaten = [
        other
        for other in fast
        if share[other] >= share["dus"]
        and calls[other] <= calls["dus"]
        and (share[other], calls[other]) != (share["dus"], calls["dus"])
    ]
    if beaten:
        *others, last = map(at, beaten)
        those = f"{', '.join(others)} and {last}" if others else last
        yield f"- DUS itself solves {share['dus']:.0%} at {calls['dus']:.1f} calls and is beaten here by {those}."
        yield "  These choose by what the model says, and so they can wait where one token depends on another."
    else:
        yield f"- No other planner solves as much as {at('dus')} in as few calls."
