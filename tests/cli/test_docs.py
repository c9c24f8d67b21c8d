"""The pages: every command on them is one that can be given, every link leads somewhere, every picture is shown."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from dus.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?: {4})?dus (?!planners$).+$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(page):
    """The words of each command on a page, without what a shell does with its output."""
    lines = COMMAND.findall(page.read_text(encoding="utf-8"))
    parts = [part.split(" > ")[0] for line in lines for part in line.split(" && ")]
    return [shlex.split(part, comments=True) for part in parts]


def parsed(words):
    """The contexts of a command and its subcommands, their options read and checked; nothing is run."""
    command, context = typer.main.get_command(app), None
    while True:
        context = command.make_context(words[0], list(words[1:]), parent=context)
        if not isinstance(command, click.Group) and not hasattr(command, "resolve_command"):
            return context
        rest = [*context._protected_args, *context.args]
        if not rest:
            return context
        _, command, arguments = command.resolve_command(context, rest)
        words = [rest[0], *arguments]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_can_be_given(page):
    for words in commands(page):
        parsed(words)


def test_a_command_that_cannot_be_given_is_noticed():
    for wrong in ("dus bench --speed", "dus evaluate", "dus theory gap --texts many"):
        with pytest.raises(Exception, match=r"No such|valid integer"):
            parsed(shlex.split(wrong))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    inside = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "results").glob("*.md")), ids=lambda page: page.name)
def test_every_page_of_results_names_its_command(page):
    assert commands(page)


def test_the_table_in_the_readme_says_what_its_page_says():
    def rows(path):
        lines = [line.strip("| ").split(" | ") for line in path.read_text(encoding="utf-8").splitlines()]
        return {line[0]: line[1:] for line in lines if len(line) > 2 and line[0].startswith("`")}

    shown, measured = rows(ROOT / "README.md"), rows(ROOT / "docs/results/speed.md")
    for mode, (seconds, tokens, faster, *_) in measured.items():
        assert shown[mode][:2] == [seconds, faster], (mode, tokens)


def test_the_python_on_the_first_page_runs(capsys):
    from dus.planners import registry

    known, names = dict(registry._names), {"__name__": "readme"}
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    try:
        for block in blocks:
            if "8B" not in block:
                exec(compile(block, "README.md", "exec"), names)
    finally:
        registry._names.clear()
        registry._names.update(known)
    assert capsys.readouterr().out.count("#### 12") == 2


@pytest.mark.parametrize("page", ["writing-a-planner.md", "engine.md", "other-engines.md"])
def test_the_python_on_a_page_runs(page):
    from dus.planners import registry

    known, names = dict(registry._names), {"__name__": "page"}
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    try:
        for block in blocks:
            exec(compile(block, page, "exec"), names)
    finally:
        registry._names.clear()
        registry._names.update(known)


def rows_of(page, begin):
    """The cells of the table whose head begins with `begin`, without backticks."""
    table = (ROOT / page).read_text(encoding="utf-8").split(f"| {begin} |")[1].split("\n\n")[0]
    return [[cell.strip(" `") for cell in row.strip("| ").split(" | ")] for row in table.splitlines()[2:]]


def test_the_page_on_benchmarks_says_what_is_read_and_what_the_paper_did():
    from dus.evaluation.harness.tasks_local import FILES
    from dus.evaluation.harness.tasks_questions import PAPER

    files = [set(row[1].replace("`", "").split(", ")) for row in rows_of("docs/evaluation.md", "task")]
    assert sorted(map(sorted, files)) == sorted(sorted(set(splits.values())) for splits in FILES.values())
    assert {row[0]: row[1:] for row in rows_of("docs/evaluation.md", "benchmark")} == {
        name: [known.task, known.instruct_task, str(known.max_new_tokens), str(known.problems or "all")]
        for name, known in PAPER.items()
    }


def test_every_picture_is_on_a_page():
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    pictures = {path for kind in ("png", "svg", "gif") for path in (ROOT / "docs").rglob(f"*.{kind}")}
    other_format = {path.with_suffix(suffix) for path in shown for suffix in (".png", ".svg")}
    assert sorted(pictures - shown - other_format) == []
