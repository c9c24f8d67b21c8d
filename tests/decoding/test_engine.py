"""Rows come and go, and each gets what it gets alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dus.decoding import Decoded, Engine, Failed, GenerationError, Settings
from dus.denoisers import from_callable

from .standins import constant, hashed

PLANNERS = ["dus", "eb(gamma=2)", "confidence(steps=3)", "saber(n=3)", "random(per_step=2)", "dus | edited"]


def drained(engine, found):
    """Step once, and keep what is done."""
    for event in engine.step():
        if isinstance(event, Decoded):
            assert event.row not in found
            found[event.row] = (event.tokens.tolist(), event.steps, event.step.tolist())


@examples(deadline=None, max_examples=40)
@given(st.data())
def test_any_order_of_coming_and_going_gives_each_row_what_it_gets_alone(data):
    model = hashed(data.draw(st.integers(0, 99)), sharpness=5.0)
    engine, found, asked = Engine(model, rows=3), {}, {}
    for _ in range(data.draw(st.integers(1, 25))):
        what = data.draw(st.sampled_from(["submit", "submit", "step", "step", "cancel"]))
        if what == "submit":
            tokens = torch.tensor(data.draw(st.lists(st.integers(0, 12), max_size=9)), dtype=torch.long)
            settings = Settings(
                planner=data.draw(st.sampled_from(PLANNERS)),
                max_new_tokens=data.draw(st.integers(1, 12)),
                block_length=data.draw(st.sampled_from([3, 8, "auto(bits=6, shortest=2, longest=8)"])),
                temperature=data.draw(st.sampled_from([0.0, 0.8])),
                cfg_scale=data.draw(st.sampled_from([0.0, 0.0, 0.5])),
                seed=data.draw(st.integers(0, 9)),
            )
            asked[engine.submit(tokens, settings)] = (tokens, settings)
        elif what == "step":
            drained(engine, found)
        elif left := [row for row in asked if row not in found]:
            row = data.draw(st.sampled_from(left))
            engine.cancel(row)
            del asked[row]
    while len(engine):
        drained(engine, found)
    assert found.keys() == asked.keys()
    for row, (tokens, settings) in asked.items():
        alone, single = Engine(model, rows=1), {}
        alone.submit(tokens, settings, draw=row)
        while len(alone):
            drained(alone, single)
        assert found[row] == single[0]


def test_a_row_that_comes_takes_part_in_the_next_call_and_a_row_that_left_cannot_be_cancelled():
    engine = Engine(hashed(1), rows=2)
    first = engine.submit(torch.tensor([3]), Settings(max_new_tokens=64, eos="ignore"))
    engine.step()
    second = engine.submit(torch.tensor([4, 5]), Settings(max_new_tokens=8, eos="ignore"))
    assert {row for event in engine.step() for row in getattr(event, "rows", [])} == {first, second}
    engine.cancel(first)
    engine.cancel(second)
    assert len(engine) == 0
    assert engine.step() == []
    with pytest.raises(GenerationError, match="no row 0 is in the engine"):
        engine.cancel(first)


def test_a_broken_row_ends_alone_even_where_another_has_its_place_in_a_users_list():
    def fn(canvas):
        logits = torch.zeros(*canvas.shape, 9)
        logits[(canvas == 8).any(dim=1)] = torch.nan
        return logits

    engine = Engine(from_callable(fn, mask_token_id=0, vocab_size=9), rows=4)
    settings = Settings(max_new_tokens=4, eos="ignore")
    bad, good = (engine.submit(torch.tensor([token]), settings, draw=0) for token in (8, 3))
    events = []
    while len(engine):
        events += engine.step()
    assert [event.row for event in events if isinstance(event, Failed)] == [bad]
    assert [event.row for event in events if isinstance(event, Decoded)] == [good]


def test_ten_thousand_requests_come_and_go_and_what_the_engine_holds_stays_as_it_is():
    model, draw = constant([0.0, 0.0, 1.0, 2.0]), torch.Generator().manual_seed(0)
    asked = [Settings(planner=planner, max_new_tokens=new) for planner in ("dus", "eb(gamma=9)") for new in (2, 5)]
    sizes = torch.randint(0, 7, (10_000,), generator=draw).tolist()
    engine = Engine(model, rows=8, watch=False)
    ended, most = [], 0

    def step():
        nonlocal most
        ended.extend(event.row for event in engine.step() if isinstance(event, Decoded))
        most = max(most, len(engine.unchecked))
        assert len(engine.canvas.owner) <= 8
        assert len(engine.groups) <= 2
        assert engine.canvas.tokens.shape == (8, 11)

    engine.submit(torch.full((6,), 3), asked[1])
    step()
    for number, size in enumerate(sizes):
        row = engine.submit(torch.full((size,), 2), asked[number % 4])
        if number % 20 == 0:
            engine.cancel(row)
            ended.append(row)
        while len(engine) > 8:
            step()
    while len(engine):
        step()
    assert sorted(ended) == list(range(10_001))
    assert most < 20
    assert not engine.groups
    assert not engine.canvas.owner
