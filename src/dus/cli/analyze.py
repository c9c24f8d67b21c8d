"""`dus analyze`: how planners spread their picks, how sure the model is of them, and where wrong answers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError, options
from dus.cli.loading import load_asked
from dus.cli.output import command_line
from dus.cli.prompts import Prompt, read_prompts, to_rows

if TYPE_CHECKING:
    from dus.denoisers import MaskedLM
    from dus.evaluation.tasks import Problem, Task
    from dus.lab.analysis.traced import Traced
    from dus.writing.tables import Table

USUAL = ["dus", "confidence(like=dus)", "confidence(per_step=1)"]


@options.takes(options.pick(options.DECODING, "eos", "chat"), options.MODEL)
def analyze(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            show_default=False,
            help="A prompt (or a file of prompts, or -) to answer afresh; or a .json or .jsonl file of traces, of "
            "--out or of generate or compare --json; or a folder of results of dus eval.",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Answer this task's held-out problems afresh.")] = None,
    level: Annotated[int, typer.Option(help="Difficulty of the problems.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many problems are answered.")] = 100,
    planner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="A planner of fresh answers; may be repeated.", show_default=", ".join(USUAL)
        ),
    ] = None,
    block_length: Annotated[str, typer.Option(help="Block lengths of fresh answers, separated by commas.")] = "16,32",
    max_new_tokens: Annotated[
        int | None,
        typer.Option(help="How many masks are put behind a prompt.", show_default="what the task needs; else 256"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="How many prompts are decoded together.")] = 64,
    out: Annotated[
        Path | None, typer.Option(help="Folder that tables, pictures and traces are written to.", show_default=False)
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Say where wrong answers come from.")] = False,
    before_end: Annotated[bool, typer.Option("--before-end", help="Count nothing behind the end token.")] = False,
    *,
    model: str | None,
    eos: str,
    chat: bool | None,
) -> None:
    """Measure and draw which positions planners write together.

    The tables say how far apart the positions are that a step unmasks, what share of them has no neighbour unmasked at
    the same step, how many tokens a step writes, and how confident the model is at that moment. With --out there are
    pictures too, among them one of a generation token by token.
    """
    if (source is None) == (task is None):
        raise InputError("name what to analyse: either a prompt, a file of traces or a folder of results, or --task")
    if out is not None:
        from dus.writing.style import require_matplotlib

        require_matplotlib()

    load = partial(load_asked, context)
    path = _existing(source)
    if path is not None and path.is_dir():
        if errors or before_end:
            raise InputError("results keep no traces, which --errors and --before-end read: answer afresh, with --task")
        _tell_results(path, out)
        return
    runs = None if path is None else _read(path, load, model or "bundled")
    if runs is None:
        questions = _problems(task, level, limit) if task else _Questions(read_prompts(source or ""), 256)
        if errors and not questions.checkable:
            raise InputError(
                "--errors reads worked equations: it goes with --task arithmetic, or with the traces of such a run"
            )
        room = questions.room if max_new_tokens is None else max_new_tokens
        decoding = {"max_new_tokens": room, "eos": eos, "batch_size": batch_size}
        lengths = options.numbers("--block-length", block_length)
        runs = _answered(questions, load, planner or USUAL, lengths, model or "bundled", chat, decoding)
    _tell(runs, out, errors=errors, before_end=before_end)


@dataclass(frozen=True)
class _Questions:
    """What is asked: prompts, the room for an answer, and the task where they are a task's."""

    prompts: list[Prompt]
    room: int
    task: Task | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def checkable(self) -> bool:
        """Whether every prompt has a worked solution in equations."""
        from dus.lab.analysis.errors import equations

        return bool(self.problems) and all(equations(problem.solution) for problem in self.problems)

    def judged(self, run: Traced) -> Traced:
        """The run with worked solutions and which answers are right, if these can be checked step by step."""
        task, solutions = self.task, [problem.solution for problem in self.problems]
        if task is None or not self.checkable:
            return run
        return run.judged(solutions, lambda number, text: task.score(self.problems[number], text) == 1)


def _as_text(prompt: Prompt) -> str:
    """The prompt, or the last message of a chat, to be shown."""
    return prompt.content if isinstance(prompt.content, str) else prompt.content[-1]["content"]


def _problems(name: str, level: int, limit: int) -> _Questions:
    from dus.evaluation.tasks import get

    task = get(name)
    problems = task.held_out(level, 500 if limit <= 500 else 2000)[:limit]
    return _Questions([Prompt(problem.question) for problem in problems], task.answer_tokens[level], task, problems)


def _answered(
    questions: _Questions,
    load: Callable[[], MaskedLM],
    planners: list[str],
    lengths: list[int],
    name: str,
    chat: bool | None,
    decoding: dict[str, Any],
) -> list[Traced]:
    """Fresh answers, under a progress bar; what is wrong with the settings is said before the model is loaded."""
    from dus.decoding import Settings
    from dus.planners import parse

    room = decoding["max_new_tokens"]
    rules = list(dict.fromkeys(str(parse(text)) for text in planners))
    for rule, length in product(rules, lengths):
        Settings(rule, room, length, eos=decoding["eos"])
    model = load()
    rows = to_rows(model, questions.prompts, chat=chat, max_new_tokens=room)
    texts = [_as_text(prompt) for prompt in questions.prompts]

    from dus.cli.progress import counted
    from dus.lab.analysis.fresh import traced

    runs = []
    with counted(len(rules) * len(lengths), what="runs") as advance:
        found = traced(model, rows, texts=texts, planners=rules, block_lengths=lengths, name=name, **decoding)
        for run in found:
            runs.append(questions.judged(run))
            advance()
    return runs


def _existing(source: str | None) -> Path | None:
    """The file or folder that the argument names, if it is one; prompts are too long or too odd for a path."""
    try:
        path = Path(source or "")
        return path if source and path.exists() else None
    except (OSError, ValueError):
        return None


def _read(path: Path, load: Callable[[], MaskedLM], name: str) -> list[Traced] | None:
    """The traces in a file, their text read where they hold only token ids; None where it is no such file."""
    from dus.lab.analysis.files import is_trace, spelled
    from dus.lab.analysis.files import load as load_traces

    if not is_trace(path):
        return None
    runs = load_traces(path)
    if any(answer.tokens and not any(answer.pieces) for run in runs for answer in run.answers):
        tokenizer = load().tokenizer
        runs = [spelled(run, tokenizer, name) for run in runs]
    return runs


def _tell(runs: list[Traced], out: Path | None, *, errors: bool, before_end: bool) -> None:
    """Print the tables, and write the folder."""
    from dus.lab.analysis import report

    tables = report.tables(runs, errors=errors, before_end=before_end)
    if out is not None:
        page = report.write(out, runs, command=command_line(), errors=errors, before_end=before_end)
        typer.echo(str(page), err=True)
    _show(tables)


def _tell_results(folder: Path, out: Path | None) -> None:
    """The same table from what a sweep counted, a section for each thing that its cells differ in besides."""
    from dus.evaluation.report.results import CHAT
    from dus.evaluation.store import Store
    from dus.lab.analysis import report
    from dus.lab.analysis.summary import Summary, counted

    store = Store(folder)
    store.record()
    sections: dict[str, list[Summary]] = {}
    found = sorted(store.outcomes(), key=lambda outcome: (outcome.cell.block_length, outcome.cell.planner))
    asked = {(outcome.cell.questions, outcome.cell.digest) for outcome in found}
    for outcome in found:
        cell = outcome.cell
        title = f"{cell.questions}, {cell.problems} problems, {cell.max_new_tokens} new tokens, "
        title += f"batches of {cell.batch_size}, cache {cell.cache}, end tokens: {cell.eos}"
        title += f", temperature {cell.temperature:g}, seed {cell.seed}" if cell.temperature or cell.seed else ""
        if sum(questions == cell.questions for questions, _ in asked) > 1:
            title += f", {CHAT[outcome.chat]}, prompts {cell.digest[:6]}"
        sections.setdefault(title, []).append(counted(cell.planner, cell.block_length, outcome.samples))
    if not sections:
        raise InputError(f"{folder} holds no finished cell yet")
    if out is not None:
        typer.echo(str(report.write_counted(out, sections, command=command_line())), err=True)
    _show(report.counted_tables(sections))


def _show(sections: list[str | Table]) -> None:
    """Sentences, and tables whose planners can be read whole."""
    from rich import box
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(highlight=False)
    for part in sections:
        if isinstance(part, str):
            console.print(Markdown(part))
            continue
        grid = Grid(box=box.HORIZONTALS, pad_edge=False, padding=(0, 1, 0, 0))
        grid.add_column(part.head[0], overflow="fold")
        for name in part.head[1:]:
            grid.add_column(fill(name, 10), justify="right", no_wrap=True)
        for planner, *cells in part.rows:
            grid.add_row(Text(planner), *map(_stacked, cells))
        console.print(grid)


def _stacked(cell: str) -> str:
    """`6.22 (6.20 to 6.25)` in two lines, which leaves room for the planner."""
    value, bar, interval = cell.partition(" (")
    return f"{value}\n{interval.rstrip(')').replace(' to ', '–')}" if bar else value
