"""A grid has every combination that can differ, once, and a cell's name tells it from every other."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dus.decoding import GenerationError, GenerationWarning, generate
from dus.evaluation.cells import Cell, SweepError, grid, seeded
from dus.evaluation.presets import PRESETS, REPORT, preset
from dus.planners import Planner, PlannerError, parse, register, registered, registry
from dus.planners.ranking import best

from .tiny import asked, tiny

CELL = Cell("letters", "0" * 16, 11, "dus", 16, 12)
OTHER = {"questions": "x", "digest": "1" * 16, "planner": "eb", "cache": "dual", "eos": "ignore", "temperature": 0.5}


def test_every_combination_once():
    cells = grid(
        [asked(), asked(name="more")],
        planners=["dus", "eb(gamma=1)"],
        block_lengths=[4, 8],
        caches=["none", "dual"],
        eos=["stop", "ignore"],
    )
    assert len(cells) == len({cell.name for cell in cells}) == 2 * 2 * 2 * 2 * 2


@pytest.mark.parametrize("name", [field.name for field in fields(Cell)])
def test_every_field_is_in_the_name(name):
    changed = replace(CELL, **{name: OTHER.get(name, 7)})
    assert changed.name != CELL.name
    assert replace(CELL).name == CELL.name


def test_other_prompts_make_other_cells():
    names = {
        grid([one], planners=["dus"], block_lengths=[4])[0].name for one in (asked(5), asked(6), asked(5, chat=True))
    }
    assert len(names) == 3


@pytest.mark.parametrize(
    ("planner", "random"),
    [
        ("dus", False),
        ("dus(order=random)", True),
        ("random(like=dus)", True),
        ("remdm(steps=4)", True),
        ("confidence(like=dus(order=random))", True),
        ("dus(order=random) | deferred(threshold=0.3)", True),
        ("eb(gamma=1) | spaced(gap=4)", False),
        ("left-to-right(steps=3)", False),
    ],
)
def test_seeds_are_for_what_draws(planner, random):
    assert parse(planner).draws is random
    with nullcontext() if random else pytest.warns(GenerationWarning, match="seeds have no effect"):
        cells = grid([asked()], planners=[planner], block_lengths=[8], seeds=[3, 4])
    assert [cell.seed for cell in cells] == ([3, 4] if random else [0])
    rules = {str(cell.rule) for cell in cells}
    assert len(rules) == len(cells)
    assert {cell.planner for cell in cells} == {str(parse(planner))}


def test_sampled_tokens_draw_under_every_planner():
    cells = grid([asked()], planners=["dus"], block_lengths=[8], seeds=[3, 4], temperature=0.7)
    assert [cell.seed for cell in cells] == [3, 4]


def test_what_likelihood_scores_is_drawn_and_the_rest_greedy_where_nothing_is_said():
    both = [asked(), asked(name="passages", unit="nats")]
    cells = grid(both, planners=["dus"], block_lengths=[8], seeds=[3, 4])
    assert [(cell.temperature, cell.seed) for cell in cells] == [(0, 0), (1, 3), (1, 4)]
    told = grid(both, planners=["dus"], block_lengths=[8], temperature=0.0)
    assert [cell.temperature for cell in told] == [0, 0]


def test_no_temperature_has_a_sign():
    names = {grid([asked()], planners=["dus"], block_lengths=[8], temperature=t)[0].name for t in (0, 0.0, -0.0, None)}
    assert len(names) == 1


@given(st.integers(-5, 5), st.integers(0, 9))
def test_a_seed_is_added_and_nothing_else_changes(own, more):
    text = f"random(like=dus(base=4), seed={own})"
    assert seeded(parse(text), more) == parse(f"random(like=dus(base=4), seed={own + more})")
    inside = f"dus(order=random, seed={own}) | deferred(threshold=0.5)"
    assert seeded(parse(inside), more) == parse(f"dus(order=random, seed={own + more}) | deferred(threshold=0.5)")


def test_what_no_block_length_changes_is_decoded_once():
    """From left to right, equal counts: the cells left out would have given the same."""
    settings = {"block_lengths": [4, 8], "eos": ["ignore"]}
    (cell,) = grid([asked()], planners=["left-to-right(per_step=2)"], **settings)
    assert cell.block_length == 8
    found = [
        generate(
            tiny(),
            asked().prompts,
            planner="left-to-right(per_step=2)",
            block_length=length,
            max_new_tokens=12,
            eos="ignore",
            chat=False,
        )
        for length in (4, 8)
    ]
    assert found[0].text == found[1].text
    assert found[0].nfe == found[1].nfe


@pytest.mark.parametrize(
    ("planner", "settings"),
    [
        ("left-to-right(per_step=3)", {}),
        ("left-to-right(per_step=2)", {"eos": ["stop"]}),
        ("left-to-right(per_step=2)", {"caches": ["dual"]}),
        ("left-to-right(steps=2)", {}),
        ("confidence(per_step=1)", {}),
    ],
)
def test_what_a_block_length_may_change_is_decoded_at_each(planner, settings):
    cells = grid([asked()], planners=[planner], **{"block_lengths": [4, 8], "eos": ["ignore"], **settings})
    assert [cell.block_length for cell in cells] == [4, 8]


@pytest.mark.parametrize(
    ("settings", "error", "word"),
    [
        ({"planners": ["duss"]}, PlannerError, "did you mean 'dus'"),
        ({"block_lengths": [0]}, GenerationError, "block_length is 0"),
        ({"caches": ["warm"]}, GenerationError, "warm"),
        ({"eos": ["maybe"]}, GenerationError, "maybe"),
        ({"temperature": -1.0}, GenerationError, "temperature"),
        ({"planners": ["levels(groups='0 2/1 3')"]}, PlannerError, "blocks of 4"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_decoded(settings, error, word):
    with pytest.raises(error, match=word):
        grid([asked()], **{"planners": ["dus"], "block_lengths": [8], **settings})


@pytest.mark.parametrize("text", ["levels(file='{}')", "levels(file='{}') | deferred(threshold=0.3)"])
def test_a_cell_holds_the_levels_of_a_file_and_not_its_name(tmp_path, text):
    file = tmp_path / "levels.json"
    found = []
    for levels, groups in (([[0, 2], [1, 3]], "0 2/1 3"), ([[0, 1], [2, 3]], "0 1/2 3")):
        file.write_text(json.dumps({"block_length": 4, "levels": levels}))
        (cell,) = grid([asked()], planners=[text.format(file)], block_lengths=[4])
        assert cell.planner == text.replace("file='{}'", f"groups='{groups}'")
        assert cell == grid([asked()], planners=[cell.planner], block_lengths=[4])[0]
        found.append(cell)
    file.unlink()
    assert found[0].name != found[1].name
    assert found[0].rule != found[1].rule


@dataclass(frozen=True)
class Shelved(Planner):
    """As many positions a step as a file says, which it reads each time."""

    file: str = ""

    def select(self, block, prediction):
        return best(prediction.confidence, block.masked, int(Path(self.file).read_text()))

    def reads(self):
        return (Path(self.file),)


def test_a_planner_that_reads_a_file_has_other_cells_once_the_file_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_names", registered())
    register("shelved")(Shelved)
    file = tmp_path / "count"
    found = []
    for text in ("1", "2", "1"):
        file.write_text(text)
        (cell,) = grid([asked()], planners=[f"shelved(file='{file}') | spaced(gap=2)"], block_lengths=[4])
        assert cell.rule == parse(cell.planner)
        found.append(cell)
    assert found[0] == found[2] != found[1]
    with pytest.raises(SweepError, match="has changed since this sweep was planned"):
        assert found[1].rule


def test_questions_without_a_prompt_are_refused():
    with pytest.raises(SweepError, match="no prompts"):
        grid([asked(0)], planners=["dus"], block_lengths=[8])


def test_calls_of_a_schedule_are_known():
    assert replace(CELL, block_length=8, max_new_tokens=20).calls == 3 + 3 + 2
    assert replace(CELL, planner="confidence(per_step=1)").calls == 12


def test_the_presets_hold_what_the_report_is_about():
    cells = REPORT.cells([asked(name="arithmetic")])
    assert {cell.block_length for cell in cells if cell.planner == "dus"} == {8, 16, 32, 64}
    assert {cell.block_length for cell in cells if cell.planner == "confidence(per_step=1)"} == {32}
    for base in ("eb(gamma=2)", "cb(tau=0.5)"):
        assert {f"{base} | spaced(gap={gap})" for gap in (4, 8)} < {cell.planner for cell in cells}
    assert {cell.seed for cell in cells if cell.planner == "random(like=dus)"} == {0}
    assert {cell.eos for cell in cells} == {"ignore", "stop"}
    assert all(cell.max_new_tokens == 96 for cell in cells)
    assert REPORT.limit >= 300
    for name in PRESETS:
        assert preset(name).cells([asked()])
    with pytest.raises(SweepError, match="report-quick"):
        preset("large")
