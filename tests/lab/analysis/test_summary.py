import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from dus.evaluation.spacing import padded, spacing
from dus.lab.analysis import AnalysisError, Traced, summarise
from dus.lab.analysis.summary import as_csv, as_table, counted

from .conftest import answer, dus_steps


def run(steps, block_length=8, planner="dus"):
    return Traced(planner, block_length, tuple(answer(["x"] * len(row), row) for row in steps))


def test_a_line_holds_what_its_rows_say():
    steps = [dus_steps(8, 2), [0, 0, 0, 0, 1, 1, 1, 1]]
    found = summarise(run(steps))
    assert found.answers == 2
    assert found.calls == (6 + 2) / 2
    assert found.tokens_per_step.value == 24 / 8
    pairs = spacing(padded(steps), 8)
    assert found.distance.value == pairs.distance.sum() / pairs.pairs.sum()
    assert found.isolated.value == 16 / 24
    scores = np.concatenate([(np.arange(n) + 1) / (n + 1) for n in (16, 8)])
    assert found.confidence.value == pytest.approx(scores.mean())
    assert found.entropy.value == pytest.approx(np.concatenate([np.arange(16), np.arange(8)]).mean() / 4)


def test_given_positions_and_missing_scores_count_for_nothing():
    given = answer("abcd", [0, -1, 1, -1], confidence=np.array([0.5, np.nan, 1.0, np.nan]))
    found = summarise(Traced("dus", 4, (given,)))
    assert found.tokens_per_step.value == 1
    assert found.confidence.value == 0.75
    unscored = replace(given, entropy=np.full(4, np.nan))
    assert as_table([summarise(Traced("dus", 4, (unscored,)))]).rows[0][-1] == "–"


def test_before_the_end():
    long = answer("abcdefgh", [0, 1, 2, 2, 2, 2, 2, 2], useful=3)
    cut = Traced("dus", 8, (long, replace(long, useful=0))).before_end()
    assert [found.text for found in cut.answers] == ["abc"]
    assert summarise(cut).isolated.value == 1
    assert summarise(Traced("dus", 8, (long,))).isolated.value < 1
    with pytest.raises(AnalysisError, match="nothing before an end token"):
        Traced("dus", 8, (replace(long, useful=0),)).before_end()


def test_counts_of_a_sweep_give_the_same_line():
    steps = [dus_steps(8, 2), [0, 0, 0, 1, 2, 1, 1, 1], list(range(8))]
    kept = spacing(padded(steps), 8)
    names = ("distance", "pairs", "isolated", "unmasked")
    samples = [
        {"nfe": max(row) + 1, **{name: int(getattr(kept, name)[number]) for name in names}}
        for number, row in enumerate(steps)
    ]
    ours, theirs = counted("dus", 8, samples), summarise(run(steps))
    for name in ("answers", "calls", "tokens_per_step", "distance", "isolated"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert np.isnan(ours.confidence.value)


def test_tables():
    found = [summarise(run([dus_steps(8), dus_steps(8)])), summarise(run([list(range(8))], planner="eb | spaced"))]
    markdown = as_table(found).markdown().splitlines()
    assert len(markdown) == 4
    assert markdown[2].startswith("| `dus` | 8 | 2.67 (2.67 to 2.67) | 3.5 (3.5 to 3.5) | 100% (100% to 100%) |")
    assert markdown[3].startswith("| `eb \\| spaced` | 8 | 1.00 | – | 100% |")
    lines = list(csv.DictReader(StringIO(as_csv(found))))
    assert [line["planner"] for line in lines] == ["dus", "eb | spaced"]
    assert float(lines[0]["distance"]) == 3.5
    assert lines[1]["distance"] == lines[1]["tokens_per_step_low"] == ""
    assert float(lines[1]["calls"]) == 8
