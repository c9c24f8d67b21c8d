"""Every number of a report follows from the samples on disk, by arithmetic that is done again here in plain Python."""

import csv
import json
import math
from dataclasses import replace

import pytest
import torch

from dus.decoding import generate
from dus.evaluation.cells import SweepError
from dus.evaluation.report import figures, write
from dus.evaluation.report.results import sections
from dus.evaluation.report.tables import accuracy, contests, spacing
from dus.planners import parse

from .tiny import COUNTS, asked, only, outcome, swept, tiny


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
    measured, came_out = text.split("\n\n")[1:3]
    assert "`tiny` solves, and in how many denoiser calls, under 5 planners" in measured
    assert len(came_out.splitlines()) == 3  # the best of each section, and DUS against self-confidence
    titled = write(page.parent, page.parent / "titled.md", title="Letters")
    assert titled.read_text().startswith("# Letters: planners on `tiny`\n")
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


def test_sections_that_differ_in_nothing_but_their_prompts_have_titles_of_their_own():
    digests = ["0" * 16, "1" * 16, "2" * 16]
    for chats, apart in (
        ([True, False], ["in the chat template", "as plain text"]),
        ([None, None], ["prompts 000000", "prompts 111111"]),
        (
            [True, False, False],
            ["in the chat template", "as plain text, prompts 111111", "as plain text, prompts 222222"],
        ),
        ([None], []),
    ):
        runs = zip(chats, digests, strict=False)
        titles = [one.title for one in sections([outcome("dus", [1], chat=chat, digest=text) for chat, text in runs])]
        assert titles == [f"letters, end tokens respected, {word}" for word in apart] or not apart
        assert len(set(titles)) == len(chats)


def test_seeds_are_one_result():
    """A problem's score is the mean over the seeds, and problems, not runs, are what is drawn."""
    runs = [outcome("random(like=dus)", scores, seed=seed) for seed, scores in enumerate(([1, 1, 0, 0], [1, 0, 0, 1]))]
    (result,) = only(runs).results
    assert result.seeds == (0, 1)
    assert result.score.tolist() == [1, 0.5, 0, 0.5]
    assert result.measures["nfe"].value == 4
    assert result.measures["score"].value == 0.5


def test_the_papers_tables():
    runs = [
        outcome("confidence(per_step=1)", [1, 1, 1, 1], block_length=32),
        *(outcome("dus", [1, 1, 1, 0], block_length=b) for b in (16, 32)),
        *(outcome("confidence(like=dus)", [1, 0, 0, 0], block_length=b) for b in (16, 32)),
        outcome("eb(gamma=2)", [1, 0, 0, 0], block_length=32, counts={"pairs": [0] * 4, "distance": [0] * 4}),
        outcome("eb(gamma=2) | spaced(gap=4)", [1, 0, 0, 0], block_length=32),
    ]
    roomy = only([replace(one, cell=replace(one.cell, max_new_tokens=64)) for one in runs])
    first = accuracy([roomy]).splitlines()
    assert first[0] == "|  | TBT | B = 16 (×4) | B = 32 (×6.4) |"
    assert first[2].startswith("| letters, end tokens respected | 100.0% (51–100) | 25.0% (5–70) → 75.0% (30–95) |")
    second = spacing([only(runs)]).splitlines()
    assert second[0] == "|  | B | DUS | Conf. | EB 2 |"
    assert second[3].split("|")[3:6] == [
        " 6.0 (6.0–6.0); 50% (50–50) alone ",
        " 6.0 (6.0–6.0); 50% (50–50) alone ",
        " –; 50% (50–50) alone ",
    ]


@pytest.mark.parametrize(("room", "length"), [(96, 64), (96, 32), (12, 32), (50, 16), (7, 8)])
def test_the_speed_up_in_a_head_is_that_of_rows_that_fill_their_room(room, length):
    done = generate(tiny(), [torch.tensor([2])], max_new_tokens=room, block_length=length, eos="ignore")
    measured = only([outcome("dus", [1], block_length=length, max_new_tokens=room)])
    other = only([outcome("confidence(like=dus)", [1], block_length=length, max_new_tokens=room)])
    both = replace(measured, results=(*measured.results, *other.results))
    assert accuracy([both]).splitlines()[0] == f"|  | TBT | B = {length} (×{room / done.nfe[0]:.3g}) |"


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
    for text in ("{}", '{"results": [], "config": {"model": "hf"}}'):
        file.write_text(text)
        with pytest.raises(SweepError, match="no results file of lm-eval"):
            write(page.parent, tmp_path / "page.md", references=[file])
