import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dus.cli.theory import theory
from dus.lab.theory import TheoryError
from dus.lab.theory.randoms import FAR, KINDS, vowels
from dus.lab.theory.report import extent, write
from dus.writing.style import PictureError
from dus.writing.tables import listed, markdown, nats


@pytest.fixture
def report(tmp_path, monkeypatch):
    """The quick report as the command writes it, on yet smaller settings."""
    import dus.lab.theory.report

    tiny = replace(
        extent.QUICK,
        rates=(0.5,),
        draws=1,
        length=4,
        long_rates=(0.5,),
        samples=20,
        search_rounds=3,
        texts=4,
        known=8,
    )
    monkeypatch.setattr(dus.lab.theory.report, "QUICK", tiny)
    result = CliRunner().invoke(theory, ["report", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert result.output.count("…") == 9
    return tmp_path


def test_the_command_writes_the_page_and_its_pictures(report):
    page = (report / "theory.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((theory/[\w-]+\.png)\)", page)
    assert len(pictures) == 5
    assert all((report / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert sorted(path.name for path in (report / "theory").iterdir()) == sorted(
        picture.removeprefix("theory/") for picture in pictures
    )
    assert page.count("*Made by `dus theory report --quick`.*") == len(pictures)
    exec(re.search(r"```python\n(.*?)```", page, flags=re.S)[1], {})
    assert all(kind in page for kind in KINDS)


def test_best_command_draws_two_schedules():
    result = CliRunner().invoke(theory, ["best", "--block-length", "8", "--steps", "3", "--kind", "hidden chain"])
    assert result.exit_code == 0
    assert result.output.count("calls:") == 2
    assert result.output.count("●") == 16
    failed = CliRunner().invoke(theory, ["best", "--kind", "no such"])
    assert isinstance(failed.exception, TheoryError)
    assert "known are first order" in str(failed.exception)


def test_a_missing_matplotlib_is_told_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setattr("dus.writing.style.find_spec", lambda _: None)
    with pytest.raises(PictureError, match="need matplotlib"):
        write(tmp_path)


def test_kinds_are_sources_of_their_names():
    for kind in KINDS.values():
        source = kind.source(0.7, 1)
        assert source.vocab == kind.vocab
        assert source.rate == pytest.approx(0.7, abs=1e-6)
        assert kind.source(0.7, 1, vocab=2).vocab == 2
    for kind in FAR.values():
        assert kind.source(0.9, 1).rate == pytest.approx(0.9, abs=1e-6)
    text = vowels(2)
    assert text.emission.shape == (4, 2)
    assert 0.2 < text.initial @ text.emission[:, 1] < 0.4


def test_markdown():
    assert markdown(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"
    assert [nats(value) for value in (0.0, -1e-12, 0.1234, 12.345)] == ["0.000", "0.000", "0.123", "12.35"]
    assert [listed(words) for words in ([], ["a"], ["a", "b", "c"])] == ["none", "a", "a, b and c"]
