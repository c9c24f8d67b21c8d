"""`dus.steps`: what a watcher sees is what `dus.generate` does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dus
from dus.decoding import GenerationError
from dus.planners import PlannerError

from .standins import MASK, Recorder, hashed

PLANNERS = [
    "dus",
    "confidence(steps=3)",
    "eb(gamma=2)",
    "saber(n=3)",
    "remdm(steps=5)",
    "dus | deferred(threshold=0.6)",
]
ASKED = {"max_new_tokens": 13, "block_length": 5}


def copied(step):
    """What a step says, safe from the steps behind it."""
    tensors = (step.unmasked, step.remasked, step.tokens)
    return (list(step.rows), list(step.starts), list(step.lengths), *(tensor.clone() for tensor in tensors))


@settings(deadline=None, max_examples=30)
@given(
    planner=st.sampled_from(PLANNERS),
    prompts=st.lists(st.lists(st.integers(0, 12), max_size=8), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_the_steps_tell_everything_that_happens(planner, prompts, seed, temperature):
    """Replayed from the masks, the steps give the tokens, the calls and the trace of the generation."""
    prompts = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
    asked = {**ASKED, "planner": planner, "seed": seed, "temperature": temperature}
    model = hashed(seed, sharpness=4.0)
    got = dus.generate(model, prompts, **asked, eos="ignore")
    whole = [torch.cat([prompt, torch.zeros(13, dtype=torch.long)]).tolist() for prompt in prompts]
    regions = [row[row.index(MASK) :] for row in whole]
    written = [[-1] * len(region) for region in regions]
    calls = [0] * len(prompts)
    for step in dus.steps(model, prompts, **asked, eos="ignore"):
        rows, starts, lengths, unmasked, remasked, tokens = copied(step)
        assert unmasked.dtype == remasked.dtype == torch.bool
        assert unmasked.shape == remasked.shape == tokens.shape
        assert not (unmasked & remasked).any()
        for number, row in enumerate(rows):
            start, length = starts[number], lengths[number]
            assert length == min(5, len(regions[row]) - start)
            assert not unmasked[number, length:].any()
            before, after = regions[row][start : start + length], tokens[number, :length].tolist()
            for offset in range(length):
                opened, closed = bool(unmasked[number, offset]), bool(remasked[number, offset])
                assert opened == (before[offset] == MASK and after[offset] != MASK)
                assert closed == (before[offset] != MASK and after[offset] == MASK)
                assert opened or closed or before[offset] == after[offset]
                place = start + offset
                written[row][place] = calls[row] if opened else -1 if closed else written[row][place]
            regions[row][start : start + length] = after
            calls[row] += 1
    assert regions == [tokens.tolist() for tokens in got.tokens]
    assert calls == got.nfe
    assert written == [steps.tolist() for steps in got.trace.step]


def test_there_is_a_step_for_each_call_and_it_comes_right_after_it():
    model = Recorder(hashed(1))
    steps = dus.steps(model, torch.tensor([[3, 4], [5, 6]]), **ASKED, eos="ignore")
    for number, step in enumerate(steps, start=1):
        assert len(model.calls) == number
        assert len(step.rows) == len(model.calls[-1].canvas)


def test_a_watcher_given_to_generate_sees_the_same_steps():
    model, prompts = hashed(2), [torch.tensor([3, 4]), torch.tensor([5])]
    watched = []
    dus.generate(model, prompts, **ASKED, progress=lambda step: watched.append(copied(step)))
    alone = [copied(step) for step in dus.steps(model, prompts, **ASKED)]
    assert str(watched) == str(alone)
    assert len(alone) >= 4


def test_steps_of_several_batches_name_rows_of_the_whole_list():
    model = hashed(3)
    prompts = [torch.full((length,), 4) for length in (5, 1, 4, 2)]
    seen = []
    dus.generate(
        model, prompts, **ASKED, batch_size=2, eos="ignore", progress=lambda step: seen.append(sorted(step.rows))
    )
    assert seen == [[1, 3]] * 5 + [[0, 2]] * 5


def test_a_watcher_may_leave_early():
    model = Recorder(hashed(4))
    steps = dus.steps(model, torch.tensor([[3, 4]]), max_new_tokens=64, block_length=16)
    next(steps)
    next(steps)
    steps.close()
    assert len(model.calls) == 2


def test_an_error_of_the_watcher_comes_through():
    def refuse(step):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        dus.generate(hashed(5), torch.tensor([[3, 4]]), progress=refuse)


def test_steps_of_an_infilled_row():
    row = torch.tensor([[3, MASK, 4, MASK]])
    steps = [copied(step) for step in dus.steps(hashed(6), row, planner="left-to-right", max_new_tokens=0)]
    assert [unmasked.tolist() for *_, unmasked, _, _ in steps] == [[[True, False, False]], [[False, False, True]]]


def test_what_is_asked_wrongly_is_refused_before_the_first_step():
    with pytest.raises(GenerationError, match="block_length"):
        dus.steps(hashed(7), torch.tensor([[3]]), block_length=0)
    with pytest.raises(PlannerError, match="known are"):
        dus.steps(hashed(7), torch.tensor([[3]]), planner="dsu")


def test_a_progress_bar_changes_nothing_and_none_is_shown_unasked(capsys):
    model, prompts = hashed(8), torch.tensor([[3, 4], [5, 6]])
    with_bar = dus.generate(model, prompts, **ASKED, planner="saber", progress=True)
    without = dus.generate(model, prompts, **ASKED, planner="saber")
    assert [row.tolist() for row in with_bar.tokens] == [row.tolist() for row in without.tokens]
    assert capsys.readouterr().out == "", "a bar belongs on the error stream: the other one may be a pipe"
    dus.generate(model, prompts, **ASKED)
    assert capsys.readouterr() == ("", "")
