"""Every number of a report follows from the samples on disk, by arithmetic that is done again here in plain Python."""

import csv
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from dus.evaluation import Cell, Outcome, SweepError
from dus.evaluation.report import figures, write
from dus.evaluation.report.aup import aup, aups
from dus.evaluation.report.results import paired, sections
from dus.evaluation.report.tables import accuracy, comparison, contests, everything, shortcuts, spacing
from dus.planners import parse

from .tiny import asked, swept

CELL = Cell("letters", "0" * 16, 4, "dus", 16, 12)
COUNTS = {"nfe": 4, "useful": 8, "written": 12, "distance": 30, "pairs": 5, "isolated": 6, "unmasked": 12}


def outcome(planner, scores, unit="right", seconds=(1.0,), counts=(), **cell):
    """An outcome with these scores; each sample's counts are `COUNTS` but for those given as a list."""
    samples = [
        {"index": n, "prompt": str(n), "answer": None, "text": "", "score": score, **COUNTS}
        for n, score in enumerate(scores)
    ]
    for name, values in dict(counts).items():
        for sample, value in zip(samples, values, strict=True):
            sample[name] = value
    fields = {**asdict(CELL), "planner": planner, "problems": len(samples), **cell}
    return Outcome(Cell(**fields), unit, samples, list(seconds))


def only(outcomes):
    (section,) = sections(outcomes)
    return section


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report on a sweep of the tiny denoiser, and the outcomes that it is about."""
    folder = tmp_path_factory.mktemp("sweep")
    planners = ["confidence(per_step=1)", "confidence(like=dus)", "dus", "random(like=dus)", "eb(gamma=1)"]
    _, found = swept(folder, *planners, questions=asked(23), eos=["ignore", "stop"], seeds=[0, 1], batch_size=12)
    page = write(folder, folder / "page.md", command="dus report here", paper=True)
    return page, list(found.values())


@pytest.mark.parametrize(
    ("planner", "rivals"),
    [
        ("dus", ["confidence(like=dus)", "confidence(like=dus(groups=residues))"]),
        ("dus(base=4) | deferred", ["confidence(like=dus(base=4))", "confidence(like=dus(base=4, groups=residues))"]),
        ("dus(groups=residues)", ["confidence(like=dus(groups=residues))"]),
        ("dus(order=entropy)", []),
        ("eb(gamma=1)", []),
    ],
)
def test_dus_is_compared_with_self_confidence_at_as_many_calls(planner, rivals):
    planners = [str(parse(text)) for text in (planner, *rivals)]
    others = ["confidence(like=dus(base=3))", "entropy(like=dus)", "confidence(per_step=1)"]
    section = only([outcome(text, [1.0, 0.0]) for text in [*planners, *others]])
    against = [theirs.planner for ours, theirs in contests(section) if ours.planner == planners[0]]
    assert against == planners[1:]


def lines_of(page, name):
    with (page.with_suffix("") / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_measure_is_recomputed_from_the_samples(made):
    page, found = made
    lines = lines_of(page, "results.csv")
    assert len(lines) == 5 * 2 * 2
    for line in lines:
        keys = ("planner", "eos", "block_length")
        runs = [one for one in found if all(str(getattr(one.cell, key)) == line[key] for key in keys)]
        assert line["seeds"] == ("0 1" if "random" in line["planner"] else "0")
        assert len(runs) == len(line["seeds"].split())
        samples = [sample for run in runs for sample in run.samples]
        total = {name: sum(sample[name] for sample in samples) for name in [*COUNTS, "score"]}
        expected = {
            "score": total["score"] / len(samples),
            "nfe": total["nfe"] / len(samples),
            "tpf": total["useful"] / total["nfe"],
            "raw_tpf": total["written"] / total["nfe"],
            "distance": total["distance"] / total["pairs"] if total["pairs"] else math.nan,
            "isolated": total["isolated"] / total["unmasked"],
            "seconds": sum(sum(run.seconds) for run in runs) / len(samples),
        }
        for name, value in expected.items():
            assert float(line[name]) == pytest.approx(value, nan_ok=True)
            if name != "seconds" and not math.isnan(value):
                assert float(line[f"{name}_low"]) <= value + 1e-9
                assert value - 1e-9 <= float(line[f"{name}_high"])
        assert f"{expected['score']:.1%}" in page.read_text()


def test_the_pages_tables_have_a_line_a_planner(made):
    page, _ = made
    text = page.read_text()
    assert text.startswith("# Planners on `tiny`")
    assert "    dus eval\n    dus report here\n" in text
    assert "LLaDA-Instruct | 80.3 | 61.4 → 70.7" in text
    for eos in ("ignored", "respected"):
        assert f"## Letters, end tokens {eos}" in text
    assert text.count("| `eb(gamma=1)` |") == 2 * 2  # scores and AUP of both sections
    assert "/work" not in text


def test_pictures_are_whole_and_the_same_each_time(made, tmp_path):
    page, _ = made
    again = write(page.parent, tmp_path / "page.md", command="dus report here", paper=True)
    assert again.read_text() == page.read_text()
    names = sorted(path.name for path in page.with_suffix("").iterdir())
    stems = ["letters-ignore", "letters-stop"]
    pictures = [f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")]
    assert names == sorted(["results.csv", "paired.csv", "aup.csv", *pictures])
    for name in names:
        content = (page.with_suffix("") / name).read_bytes()
        assert content == (again.with_suffix("") / name).read_bytes()
        if name.endswith("png"):
            assert content.startswith(b"\x89PNG")
            assert f"(page/{name})" in page.read_text()
        if name.endswith("svg"):
            assert b"EB 1" in content
            assert content.rstrip().endswith(b"</svg>")


def test_what_is_not_a_finished_sweep_is_refused(tmp_path):
    with pytest.raises(SweepError, match="holds no sweep"):
        write(tmp_path, tmp_path / "page.md")
    (tmp_path / "record.json").write_text('{"model": {"name": "tiny"}, "sessions": []}')
    with pytest.raises(SweepError, match="no finished cell"):
        write(tmp_path, tmp_path / "page.md")
    with pytest.raises(SweepError, match=r"name it page\.md"):
        write(tmp_path, tmp_path / "page")


def test_sections_are_what_can_be_compared():
    found = sections(
        [
            outcome("dus", [1, 0, 1, 1]),
            outcome("dus", [1, 0, 1, 1], cache="dual"),
            outcome("dus", [1, 0, 1, 1], eos="ignore"),
            outcome("dus", [1, 0, 1]),
            outcome("dus", [1, 0, 1, 1], digest="1" * 16),
        ]
    )
    assert [len(section.results) for section in found] == [1, 1, 2, 1]


def test_seeds_are_one_result():
    """A problem's score is the mean over the seeds, and problems, not runs, are what is drawn."""
    runs = [outcome("random(like=dus)", scores, seed=seed) for seed, scores in enumerate(([1, 1, 0, 0], [1, 0, 0, 1]))]
    (result,) = only(runs).results
    assert result.seeds == (0, 1)
    assert result.score.tolist() == [1, 0.5, 0, 0.5]
    assert result.measures["nfe"].value == 4
    (single,) = only([outcome("dus", [1, 0.5, 0, 0.5])]).results
    assert result.measures["score"] == single.measures["score"]


@pytest.mark.parametrize(("scores", "low", "high"), [([1] * 20, 0.8389, 1), ([0] * 20, 0, 0.1611)])
def test_all_right_and_all_wrong_have_wilsons_interval(scores, low, high):
    (result,) = only([outcome("dus", scores)]).results
    score = result.measures["score"]
    assert (score.value, score.low, score.high) == (
        scores[0],
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_intervals_are_those_of_scipys_bootstrap():
    rng = np.random.default_rng(1)
    scores, calls, tokens = rng.random(80) < 0.6, rng.integers(3, 20, 80), rng.integers(5, 40, 80)
    (result,) = only([outcome("dus", scores.astype(int).tolist(), counts={"nfe": calls, "useful": tokens})]).results

    def ratio(above, below, axis=-1):
        return above.sum(axis=axis) / below.sum(axis=axis)

    settings = {"n_resamples": 4000, "method": "percentile", "rng": 2}
    mean = bootstrap((scores.astype(float),), np.mean, **settings).confidence_interval
    speed = bootstrap((tokens, calls), ratio, paired=True, **settings).confidence_interval
    for measure, theirs in ((result.measures["score"], mean), (result.measures["tpf"], speed)):
        width = theirs.high - theirs.low
        assert measure.low == pytest.approx(theirs.low, abs=0.08 * width)
        assert measure.high == pytest.approx(theirs.high, abs=0.08 * width)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Of 120 sweeps with 60 problems each, 95% intervals should miss the truth about 6 times."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(120):
        (result,) = only([outcome("dus", (rng.random(60) < 0.7).astype(int).tolist())]).results
        score = result.measures["score"]
        missed += not score.low <= 0.7 <= score.high
    assert 1 <= missed <= 16


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(pairs):
    ours, theirs = zip(*pairs, strict=True)
    section = only([outcome("dus", ours), outcome("eb(gamma=1)", theirs)])
    found = paired(section.find("dus", "none", 16), section.find("eb(gamma=1)", "none", 16))
    wins, losses = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    assert (found.only_ours, found.only_theirs) == (wins, losses)
    assert found.p == pytest.approx(binomtest(wins, wins + losses).pvalue if wins + losses else 1.0)
    assert found.difference.value == pytest.approx((wins - losses) / len(pairs))


def test_dus_meets_self_confidence_with_its_own_counts():
    wide = [outcome(p, s, block_length=b) for b in (8, 16) for p, s in RIVALS]
    section = only(wide)
    lines = comparison(section, contests(section)).splitlines()[2:]
    assert len(lines) == 4
    plain, based = (line for line in lines if "| 8 |" in line)
    assert "`dus` | `none` | `confidence(like=dus)` | `none`" in plain
    assert plain.endswith("| 2 | 1 | 1 |")
    assert "`dus(base=4) \\| deferred(threshold=0.3)` | `none` | `confidence(like=dus(base=4))`" in based
    assert based.endswith("| 0 | 3 | 0.25 |")


def test_each_cache_meets_the_same_planner_without_one():
    section = only(
        [
            outcome("dus", [1, 1, 0, 1]),
            outcome("dus", [1, 0, 0, 0], cache="dual"),
            outcome("confidence(like=dus)", [1, 1, 1, 1], cache="dual"),
        ]
    )
    [line] = comparison(section, shortcuts(section)).splitlines()[2:]
    assert line.startswith("| `dus` | `dual` | `dus` | `none` | 16 |")
    assert line.endswith("| 0 | 2 | 0.5 |")
    shown = everything(section)
    assert shown.count(" ms |") == 3
    assert " ms" not in everything(only([outcome("dus", [1, 1, 0, 1])]))


RIVALS = [
    ("dus", [1, 1, 0, 1]),
    ("confidence(like=dus)", [0, 0, 1, 1]),
    ("dus(base=4) | deferred(threshold=0.3)", [0, 0, 0, 1]),
    ("confidence(like=dus(base=4))", [1, 1, 1, 1]),
    ("dus(order=entropy)", [1, 1, 1, 1]),
]


def test_where_scores_are_shares_there_is_a_difference_and_no_test():
    section = only([outcome("dus", [0.5, 1, 0.25, 0]), outcome("confidence(like=dus)", [0.5, 0, 0, 0])])
    found = paired(*section.results[::-1])
    assert found.difference.value == pytest.approx(1.25 / 4)
    assert (found.p, found.only_ours) == (None, None)


# Worked out with pencil and paper: y_max = 80, W(40) = exp(-3 / 2) = 0.22313.
@pytest.mark.parametrize(
    ("points", "best", "area"),
    [
        ([(2, 80)], 80, 160),
        ([(2, 80), (4, 80)], 80, 160 + 2 * 80),
        ([(4, 80), (2, 80)], 80, 160 + 2 * 80),
        ([(1, 40), (3, 40)], 80, 40 + 2 * 40 * 0.2231302),
        ([(1, 80), (3, 76)], 80, 80 + 2 * (76 * 0.8607080 + 80) / 2),
        ([(1, 80), (2, 74), (3, 78)], 80, 80 + 2 * (78 * 0.9277435 + 80) / 2),
        ([(1, 40), (2, 80)], 80, 40 + (80 + 40 * 0.2231302) / 2),
        ([(1, 80), (2, 70)], 80, 80),
        ([(3, 0)], 0, 0),
    ],
)
def test_aup_by_hand(points, best, area):
    assert aup(points, best) == pytest.approx(area, abs=1e-4)


def test_aups_measure_all_planners_by_the_best_of_them():
    fast = {"nfe": [2, 2, 2, 2], "useful": [8, 8, 8, 8]}
    found = aups(
        only(
            [
                outcome("dus", [1, 1, 0, 0]),
                outcome("dus", [1, 1, 0, 0], block_length=32, counts=fast),
                outcome("eb(gamma=1)", [1, 1, 1, 1]),
            ]
        )
    )
    assert found["eb(gamma=1)", "none"].value == pytest.approx(2 * 100)
    assert (
        found["dus", "none"].value
        == pytest.approx(aup([(2, 50), (4, 50)], 100))
        == pytest.approx(100 + 100 * 0.2231302, abs=1e-4)
    )
    assert found["eb(gamma=1)", "none"].low == found["eb(gamma=1)", "none"].high == pytest.approx(200)
    assert found["dus", "none"].low < found["dus", "none"].value < found["dus", "none"].high


def test_the_papers_tables():
    runs = [
        outcome("confidence(per_step=1)", [1, 1, 1, 1], block_length=32),
        *(outcome("dus", [1, 1, 1, 0], block_length=b) for b in (16, 32)),
        *(outcome("confidence(like=dus)", [1, 0, 0, 0], block_length=b) for b in (16, 32)),
        outcome("eb(gamma=2)", [1, 0, 0, 0], block_length=32, counts={"pairs": [0] * 4, "distance": [0] * 4}),
        outcome("eb(gamma=2) | spaced(gap=4)", [1, 0, 0, 0], block_length=32),
    ]
    first = accuracy([only(runs)]).splitlines()
    assert first[0] == "|  | TBT | B = 16 (×4) | B = 32 (×6.4) |"
    assert first[2].startswith("| letters, end tokens respected | 100.0% (51–100) | 25.0% (0–75) → 75.0% (25–100) |")
    second = spacing([only(runs)]).splitlines()
    assert second[0] == "|  | B | DUS | Conf. | EB 2 |"
    assert second[3].split("|")[3:6] == [
        " 6.0 (6.0–6.0); 50% (50–50) alone ",
        " 6.0 (6.0–6.0); 50% (50–50) alone ",
        " –; 50% (50–50) alone ",
    ]


def test_where_caches_differ_a_planner_has_one_panel_and_the_spacing_is_that_of_the_exact_mode(tmp_path):
    caches = ("touched", "none", "dual")
    section = only(
        [
            outcome(planner, [1, 0, 1, 1], cache=cache, block_length=length)
            for planner in ("dus", "cb(tau=0.9)")
            for cache in caches
            for length in (8, 16)
        ]
    )
    assert section.caches == ["none", "dual", "touched"]
    figures.frontier(tmp_path / "picture", section)
    drawn = (tmp_path / "picture.svg").read_text()
    for text in ("DUS", "CB 0.9"):
        assert drawn.count(f">{text}<") == 1
    for cache in caches:
        assert drawn.count(f">cache {cache}<") == 2
    assert "cache" not in spacing([section])
    assert len(spacing([section]).splitlines()) == 4
    assert "cache dual" in spacing([only([outcome("dus", [1, 0], cache="dual")])])


def test_nats_are_means_without_percent():
    section = only(
        [outcome("dus", [2.5, 3.5, 3.0, 3.0], unit="nats"), outcome("confidence(like=dus)", [3.0] * 4, unit="nats")]
    )
    # Of the 256 ways to draw four, 1 has the mean 2.5 and 8 have 2.625: the 2.5th percentile lies among these.
    assert "3.000 (2.625–3.375), 4.0 calls" in everything(section)
    compared = comparison(section, contests(section))
    assert "nats more" in compared
    assert "%" not in everything(section) + compared


def test_a_reference_is_lm_evals_own_model(made, tmp_path):
    page, _ = made
    results = {"letters": {"alias": "letters", "exact_match,strict": 0.75, "exact_match_stderr,strict": 0.02}}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"results": results, "config": {"model": "hf"}, "model_name": "Llama-3-8B"}))
    again = write(page.parent, tmp_path / "page.md", references=[file])
    assert b"AR: Llama-3-8B" in (again.with_suffix("") / "letters-stop.svg").read_bytes()
    file.write_text(json.dumps({"results": results, "config": {"model": "dus"}}))
    with pytest.raises(SweepError, match=r"'dus'.*'hf'"):
        write(page.parent, tmp_path / "page.md", references=[file])
    file.write_text("{}")
    with pytest.raises(SweepError, match="no results file of lm-eval"):
        write(page.parent, tmp_path / "page.md", references=[file])
