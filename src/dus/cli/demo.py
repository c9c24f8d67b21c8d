"""`dus demo`: held-out word problems under three planners, watched, counted and timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from dus.denoisers import MaskedLM
    from dus.evaluation.accuracy import Accuracy
    from dus.tasks import Problem

LEVEL = 1
WATCHED = 2
SHOWN = 5
PAUSE = 0.15
PLANNERS = {"dus": "DUS", "confidence(like=dus)": "self-confidence", "confidence(per_step=1)": "token by token"}


@dataclass(frozen=True)
class Result:
    """What a planner made of the problems: `nfe` and `tpf` are means over them."""

    texts: list[str]
    accuracy: Accuracy
    nfe: float
    tpf: float
    seconds: float


def demo(
    model: options.Model = None,
    problems: Annotated[int, typer.Option(min=1, max=500, help="How many to solve under each planner.")] = 32,
    block_length: options.BlockLength = 16,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
) -> None:
    """Solve held-out word problems under three planners.

    They are DUS, self-confidence at the same number of calls, and token by token. The first problems are watched
    live under DUS, then all are counted in a small table.
    """
    from rich.console import Console

    from dus.cli.loading import load_model
    from dus.decoding import Settings
    from dus.tasks import get

    task = get("arithmetic")
    decoding: dict[str, Any] = {
        "max_new_tokens": task.answer_tokens[LEVEL],
        "block_length": block_length,
        "scores": False,
    }
    settings = Settings(planner="dus", **decoding)
    denoiser = load_model(model, dtype=dtype, device=device)
    console = Console(highlight=False)
    chosen = task.held_out(LEVEL)[:problems]
    for problem in chosen[:WATCHED]:
        _watch(console, denoiser, problem, settings, decoding)
    results = {}
    with console.status("warming up") as status:
        _solve(denoiser, chosen, "dus", decoding)
        for planner, name in PLANNERS.items():
            status.update(f"{len(chosen)} problems under {name}")
            results[planner] = _solve(denoiser, chosen, planner, decoding)
    _show_table(console, results, block_length)
    _show_answers(console, chosen, results["dus"].texts)


def _watch(console: Console, model: MaskedLM, problem: Problem, settings: Any, decoding: dict[str, Any]) -> None:
    """One problem, filling in before the user's eyes."""
    from rich.text import Text

    from dus.cli.watch import Watch
    from dus.decoding import generate

    console.print(Text(problem.question, style="bold"))
    with Watch(console, model, settings, pause=PAUSE) as view:
        view.finish(generate(model, problem.question, planner=settings.planner, progress=view, **decoding))
    console.print()


def _solve(model: MaskedLM, problems: tuple[Problem, ...], planner: str, decoding: dict[str, Any]) -> Result:
    """All problems as one batch, greedily."""
    from dus.decoding import generate
    from dus.evaluation.accuracy import Accuracy
    from dus.tasks import get

    score = get("arithmetic").score
    began = time.perf_counter()
    generation = generate(model, [problem.question for problem in problems], planner=planner, **decoding)
    seconds = time.perf_counter() - began
    texts = generation.text or []
    right = sum(score(problem, text) == 1 for problem, text in zip(problems, texts, strict=True))
    nfe = sum(generation.nfe)
    return Result(
        texts, Accuracy(right, len(problems)), nfe / len(problems), sum(generation.useful) / max(nfe, 1), seconds
    )


def _show_table(console: Console, results: dict[str, Result], block_length: int) -> None:
    from rich import box
    from rich.table import Table

    slowest = list(results.values())[-1]
    count = slowest.accuracy.total
    table = Table(box=box.HORIZONTALS, pad_edge=False, title=f"{count} held-out problems, blocks of {block_length}")
    for name in ("planner", "right", "(95% interval)", "NFE", "TPF", "s", "speed-up"):
        table.add_column(name, justify="left" if name == "planner" else "right", no_wrap=True)
    for planner, name in PLANNERS.items():
        result = results[planner]
        low, high = result.accuracy.interval()
        table.add_row(
            name,
            f"{result.accuracy.share:.0%}",
            f"({low:.0%} to {high:.0%})",
            f"{result.nfe:.1f}",
            f"{result.tpf:.2f}",
            f"{result.seconds:.2f}",
            f"{slowest.seconds / result.seconds:.2f}",
        )
    console.print(table)


def _show_answers(console: Console, problems: tuple[Problem, ...], texts: list[str]) -> None:
    """A few problems with the answers under DUS."""
    from rich.text import Text

    from dus.tasks import get

    score = get("arithmetic").score
    console.print(Text("\nUnder DUS:"))
    for problem, text in list(zip(problems, texts, strict=True))[:SHOWN]:
        right = score(problem, text)
        mark = ("right  ", "bold green") if right else ("wrong  ", "bold red")
        console.print(Text(problem.question, style="dim"))
        console.print(Text.assemble(mark, text.strip(), "" if right else f"   (it is {problem.answer})"))
