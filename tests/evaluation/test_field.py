"""The comparison of the field: families, peers at equal calls, the suite's means and areas, and the page."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dus.evaluation.cells import SweepError
from dus.evaluation.report import write_field
from dus.evaluation.report.aup import aup
from dus.evaluation.report.field import SLACK, Suite, envelope, family, finished, matches, peer
from dus.evaluation.report.field_page import DEFAULT, in_words
from dus.evaluation.report.results import sections

from .tiny import asked, only, outcome, swept

QUARTERS = [1.0, 1.0, 1.0, 0.0]


def at(planner, calls, scores, **cell):
    """An outcome with this many calls and eight useful tokens a problem."""
    return outcome(planner, scores, counts={"nfe": [calls] * len(scores)}, **cell)


@pytest.mark.parametrize(
    ("planner", "name"),
    [
        ("dus", "dus"),
        ("confidence(like=dus(base=3))", "confidence"),
        ("eb(gamma=2) | spaced(gap=8)", "eb | spaced"),
        ("cb(tau=0.9) | prophet", "cb | prophet"),
    ],
)
def test_a_family_is_a_planner_without_its_settings(planner, name):
    assert family(planner) == name


points = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(st.lists(points, min_size=1, max_size=12))
def test_an_envelope_holds_the_points_that_no_other_equals_or_beats(some):
    unbeaten = {(x, y) for x, y in some if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in some)}
    found = envelope(some)
    assert set(found) == unbeaten
    assert found == sorted(found)


def test_the_peer_is_the_best_of_another_family_at_the_block_length_that_is_as_fast():
    section = only(
        [
            at("deb", 20, [1.0, 0.0, 0.0, 0.0]),
            at("deb(gamma=1)", 20, [1.0] * 4),
            at("cb(tau=0.9)", 21, QUARTERS),
            at("cb(tau=0.8)", 22, [1.0] * 4),
            at("factor(f=1)", 19, QUARTERS),
            at("eb(gamma=1)", 10, [1.0] * 4, block_length=8),
        ]
    )
    ours = section.find("deb", "none", 16)
    assert SLACK == 0.05
    assert peer(section, ours).planner == "factor(f=1)"
    (match,) = matches([section], "deb")
    assert match.pair.difference.value == -0.5
    assert (match.pair.only_ours, match.pair.only_theirs) == (0, 2)
    assert peer(section, section.find("eb(gamma=1)", "none", 8)) is None


def test_a_block_length_at_which_a_planner_is_missing_is_left_out():
    found = sections(
        [
            at(planner, 4, QUARTERS, questions=task, block_length=length)
            for task in ("letters", "words")
            for length in (8, 16)
            for planner in ("deb", "cb(tau=0.9)")
            if (task, length, planner) != ("words", 8, "cb(tau=0.9)")
        ]
        + [at("confidence(per_step=1)", 9, QUARTERS, questions="words")]
    )
    assert [section.block_lengths for section in finished(found)] == [[8, 16], [16]]
    with pytest.raises(SweepError, match="no block length is finished on every task"):
        finished([*found, only([at("eb(gamma=1)", 4, QUARTERS)])])


def two_tasks():
    """Two tasks at the settings of two families, and one setting that only one of them has."""
    found = []
    for task, better in (("letters", [1.0] * 4), ("words", QUARTERS)):
        found += [
            at("deb", 4, better, questions=task),
            at("cb(tau=0.9)", 8, QUARTERS, questions=task),
            at("cb(tau=0.5)", 2, [0.0] * 4, questions=task),
        ]
    return sections([*found, at("eb(gamma=1)", 1, [1.0] * 4, questions="letters")])


def test_a_suite_takes_means_over_tasks_of_what_was_measured_on_all_of_them():
    suite = Suite(two_tasks(), draws=200)
    assert {planner for planner, _ in suite.settings} == {"deb", "cb(tau=0.9)", "cb(tau=0.5)"}
    overall = {one.planner: one for one in suite.overall}
    assert overall["deb"].score.value == pytest.approx((1 + 0.75) / 2)
    assert overall["deb"].calls == 4
    assert [one.planner for one in suite.frontier] == ["cb(tau=0.5)", "deb"]
    ours = (aup([(2, 100)], 100) + aup([(2, 75)], 75)) / 2
    theirs = (aup([(1, 75), (4, 0)], 100) + aup([(1, 75), (4, 0)], 75)) / 2
    assert suite.area("deb").value == pytest.approx(ours)
    assert suite.area("cb").value == pytest.approx(theirs)
    assert [suite.area("deb", task=task).value for task in (0, 1)] == pytest.approx([aup([(2, 100)], 100), 2 * 75])
    ratio = suite.area("deb", "cb")
    assert ratio.value == pytest.approx(ours / theirs)
    assert ratio.low <= ratio.value <= ratio.high


def test_the_sentences_say_who_is_ahead():
    found = two_tasks()
    suite = Suite([*found], draws=50)
    object_words = " ".join(in_words(suite, []))
    assert "place 1 of 2. The best other family is `cb`" in object_words
    assert "As one setting for all tasks" not in object_words


def test_the_page_has_every_part_and_a_sweep_without_a_shared_setting_is_refused(tmp_path):
    folder = tmp_path / "sweep"
    swept(folder, DEFAULT, "cb(tau=0.9)", "eb(gamma=1)", questions=asked(9))
    page = write_field(folder, tmp_path / "page.md", command="dus report here --field", title="A few of them")
    text = page.read_text()
    assert text.startswith("# A few of them on `")
    assert "Made by\n\n    dus report here --field\n" in text
    assert "The sweep was run by\n\n    dus eval\n" in text
    for title in ("In short", "Which planner when", "What it cannot say", "Letters, end tokens respected"):
        assert f"\n## {title}\n" in text
    with (tmp_path / "page" / "results.csv").open(newline="") as file:
        assert {line["planner"] for line in csv.DictReader(file)} == {DEFAULT, "cb(tau=0.9)", "eb(gamma=1)"}
    again = write_field(
        folder, tmp_path / "again" / "page.md", command="dus report here --field", title="A few of them"
    )
    assert again.read_text() == text
    for path in page.with_suffix("").iterdir():
        assert path.read_bytes() == (again.with_suffix("") / path.name).read_bytes()
    swept(folder, "saber", questions=asked(9, name="others"))
    with pytest.raises(SweepError, match="no block length is finished on every task"):
        write_field(folder, tmp_path / "page.md")
