"""dus report: a page beside its pictures and tables."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dus.cli.output import quoted


@pytest.fixture
def swept(good, tmp_path):
    """A small sweep on the bundled model."""
    planners = ["--planner", "dus", "--planner", "confidence(like=dus)"]
    good("eval", "--out", tmp_path / "sweep", "--limit", 3, "--max-new-tokens", 8, *planners, "--block-length", "4,8")
    return tmp_path / "sweep"


def test_a_page_with_pictures_and_tables(good, swept, tmp_path):
    said = good("report", swept, "--paper", "--out", tmp_path / "docs" / "planners.md")
    assert said.strip() == str(tmp_path / "docs" / "planners.md")
    text = (tmp_path / "docs" / "planners.md").read_text()
    assert "Made by\n\n    dus" in text
    assert "As published" in text
    names = {path.name for path in (tmp_path / "docs" / "planners").iterdir()}
    stem = "arithmetic-level-1-stop"
    assert names == {f"{stem}.png", f"{stem}.svg", "results.csv", "paired.csv", "aup.csv"}
    assert f"(planners/{stem}.png)" in text


def test_without_options_it_lies_in_the_folder(good, swept):
    good("report", swept)
    assert (swept / "report.md").exists()
    assert "As published" not in (swept / "report.md").read_text()


def test_what_is_no_sweep_is_refused(dus, tmp_path):
    code, out, err = dus("report", tmp_path)
    assert (code, out) == (2, "")
    assert "holds no sweep" in err


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12))
@example("levels(file='levels.json')")
@example('it\'s $HOME, `date` \\ "!"')
def test_a_command_on_a_page_is_read_by_a_shell_as_it_was_typed(word):
    shown = quoted(word)
    assert shlex.split(shown) == [word]
    assert "'\"'\"'" not in shown or set('"$`\\!') & set(word)


def test_a_planner_with_a_file_stands_on_a_page_as_one_would_type_it():
    assert quoted("levels(file='levels.json')") == "\"levels(file='levels.json')\""
