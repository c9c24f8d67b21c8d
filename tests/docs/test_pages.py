"""The pages: every command on them is one that can be given, every link leads somewhere, every picture is shown."""

import re
import shlex

import click
import pytest
import typer

from dus.cli import main
from dus.cli.app import app

from .pages import DOCS, PAGES, ROOT, name, text

COMMAND = re.compile(r"^(?: {4})?dus (?!planners$)[a-z].+$", re.MULTILINE)
IN_A_SENTENCE = re.compile(r"(?<!`)`(dus [a-z-]+ [^`]*--[a-z-]+\s+[^`]+)`(?!`)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(page):
    """The words of each command on a page, without what a shell does with its output."""
    lines = [*COMMAND.findall(text(page)), *(found.replace("\n", " ") for found in IN_A_SENTENCE.findall(text(page)))]
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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_can_be_given(page):
    for words in commands(page):
        parsed(words)


def test_a_command_that_cannot_be_given_is_noticed():
    for wrong in ("dus bench --speed", "dus evaluate", "dus theory gap --texts many"):
        with pytest.raises(Exception, match=r"No such|valid integer"):
            parsed(shlex.split(wrong))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    inside = [link for link in LINK.findall(text(page)) if "://" not in link]
    pages = [page.parent / link for link in inside]
    lost = [path for path in pages if not path.exists() and not path.with_suffix(".ipynb").exists()]
    assert lost == []


@pytest.mark.parametrize("page", sorted((DOCS / "results").glob("*.md")), ids=lambda page: page.name)
def test_every_page_of_results_names_its_command(page):
    scripts = re.findall(r"^    python (benchmarks/\w+\.py) ", text(page), re.MULTILINE)
    assert all((ROOT / script).exists() for script in scripts)
    assert commands(page) or scripts or page.name == "index.md"


def rows(page):
    """For each row of a page's tables that begins with code: that, and the other cells."""
    lines = [line.strip("| ").split(" | ") for line in text(page).splitlines()]
    return {line[0]: line[1:] for line in lines if len(line) > 2 and line[0].startswith("`")}


def test_the_guide_to_speed_says_what_its_page_says():
    shown, measured = rows(DOCS / "guides/speed.md"), rows(DOCS / "results/speed.md")
    for mode, (seconds, tokens, faster, *_) in measured.items():
        assert shown[mode][:2] == [seconds, faster], (mode, tokens)


def test_the_figures_in_the_readme_are_those_of_their_pages():
    readme, tasks = " ".join(text(ROOT / "README.md").split()), text(DOCS / "results/tasks.md")
    part = tasks.split("## Instructions, level 1")[1]
    for planner in ("confidence(per_step=1)", "cb(tau=0.9)", "dus", "confidence(like=dus)"):
        cell = next(line for line in part.splitlines() if line.startswith(f"| `{planner}` |")).split(" | ")[3]
        right, calls = cell.split(", ")
        assert re.search(
            rf"\| `{re.escape(planner)}`[^|]*\| {re.escape(right)} \| {calls.removesuffix(' calls')} \|", readme
        )
    seconds = text(DOCS / "results/seconds.md")
    slowest = re.search(r"^\| textbook, token by token \| \d+ \| ([\d.]+) \|", seconds, re.MULTILINE)[1]
    parts = re.findall(r"^\| (?:schedule|logits|cache) \| \d+ \| ([\d.]+) \| ([\d.]+)× \|$", seconds, re.MULTILINE)
    assert len(parts) == 3
    for said in (
        f"{float(slowest):.1f} seconds",
        *(f"{factor} times" for _, factor in parts),
        f"{float(parts[-1][0]):.2f} seconds",
    ):
        assert said in readme


def test_the_readme_is_short():
    assert len(text(ROOT / "README.md").splitlines()) < 150


def test_every_command_of_the_package_is_in_the_reference():
    known = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"^\| `dus ([a-z-]+)` \|", text(DOCS / "reference/commands.md"), re.MULTILINE)) == known


def rows_of(page, begin):
    """The cells of the table whose head begins with `begin`, without backticks."""
    table = (ROOT / page).read_text(encoding="utf-8").split(f"| {begin} |")[1].split("\n\n")[0]
    return [[cell.strip(" `") for cell in row.strip("| ").split(" | ")] for row in table.splitlines()[2:]]


def test_the_page_on_benchmarks_says_what_is_read_and_what_the_paper_did():
    from dus.evaluation.harness.tasks_local import FILES
    from dus.evaluation.harness.tasks_questions import PAPER

    files = [set(row[1].replace("`", "").split(", ")) for row in rows_of("docs/guides/evaluation.md", "task")]
    assert sorted(map(sorted, files)) == sorted(sorted(set(splits.values())) for splits in FILES.values())
    assert {row[0]: row[1:] for row in rows_of("docs/guides/evaluation.md", "benchmark")} == {
        name: [known.task, known.instruct_task, str(known.max_new_tokens), str(known.problems or "all")]
        for name, known in PAPER.items()
    }


def test_every_picture_is_on_a_page():
    shown = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(text(page))}
    pictures = {path for kind in ("png", "svg", "gif") for path in DOCS.rglob(f"*.{kind}")}
    pictures.discard(DOCS / "pictures/favicon.svg")
    other_format = {path.with_suffix(suffix) for path in shown for suffix in (".png", ".svg")}
    assert sorted(pictures - shown - other_format) == []


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "concepts/masked-diffusion.md"], ids=name)
def test_a_moving_picture_is_what_its_command_draws(page, tmp_path, capsys):
    drawing = [words for words in commands(page) if words[1] == "compare" and "--svg" in words]
    assert drawing
    for words in drawing:
        picture = ROOT / words[-1]
        assert main([*words[1:-1], str(tmp_path / picture.name)]) == 0
        assert text(tmp_path / picture.name) == text(picture)
