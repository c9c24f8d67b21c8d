"""What a generation costs and what is counted: calls, tokens, rows in a batch, positions read."""

import pytest
import torch

import dus

from .standins import END, MASK, Recorder, constant, hashed, scripted


def prompts(*lengths):
    return [torch.full((length,), 2) for length in lengths]


@pytest.mark.parametrize(
    ("planner", "block_length", "calls"),
    [
        ("dus", 8, 3 * 8),
        ("dus", 16, 4 * 4),
        ("dus", 32, 5 * 2),
        ("dus", 64, 6),
        ("dus(base=4)", 64, 3),
        ("confidence", 16, 64),
        ("confidence(per_step=4)", 16, 16),
        ("confidence(steps=5)", 32, 10),
        ("confidence(like=dus)", 16, 16),
        ("left-to-right(per_step=5)", 16, 16),
        ("dus | deferred(threshold=1)", 16, 16),
    ],
)
def test_calls_of_a_known_schedule(planner, block_length, calls):
    model = Recorder(hashed(1))
    got = dus.generate(model, prompts(3), planner=planner, max_new_tokens=64, block_length=block_length, eos="ignore")
    assert got.nfe == [calls]
    assert len(model.calls) == calls
    assert got.written == [64]
    assert got.raw_tpf == [64 / calls]


def test_guidance_makes_two_calls_a_step_in_one_batch():
    model = Recorder(hashed(1))
    got = dus.generate(model, prompts(3, 2), max_new_tokens=16, block_length=16, cfg_scale=1.0, eos="ignore")
    assert got.nfe == [8, 8]
    assert [len(call.canvas) for call in model.calls] == [4] * 4
    for call in model.calls:
        for length, seeing, blind in zip((2, 3), call.canvas[::2], call.canvas[1::2], strict=True):
            assert (blind[:length] == MASK).all()
            assert (blind[length:] == seeing[length:]).all()


def test_tokens_per_forward_stop_at_the_end_token_and_the_raw_figure_does_not():
    answer = [3, 4, 5, END, 6, 6, 6, 6]
    model = scripted(answer, before=2)
    got = dus.generate(model, prompts(2), planner="dus", max_new_tokens=8, block_length=8)
    assert (got.nfe, got.written, got.useful) == ([3], [8], [3])
    assert got.tpf == [1.0]
    assert got.raw_tpf == [8 / 3]
    ignoring = dus.generate(model, prompts(2), planner="dus", max_new_tokens=8, block_length=8, eos="ignore")
    assert (ignoring.nfe, ignoring.written, ignoring.useful) == ([3], [8], [3])
    assert ignoring.tokens[0].tolist() == answer


def test_given_tokens_between_masks_are_not_counted_as_written():
    row = torch.tensor([2, MASK, 5, 6, MASK, 7])
    got = dus.generate(hashed(2), [row], planner="confidence", max_new_tokens=0, block_length=8, eos="ignore")
    assert got.written == [2]
    assert got.nfe == [2]
    assert got.raw_tpf == [1.0]
    assert got.tokens[0][1:3].tolist() == [5, 6]


def test_an_end_token_at_once_leaves_no_tokens_and_no_division_by_zero():
    got = dus.generate(scripted([END], before=1, vocab_size=4), prompts(1), max_new_tokens=4, block_length=4)
    assert got.tokens[0].tolist() == []
    assert got.tpf == [0.0]


def test_rows_that_have_finished_leave_the_batch():
    # By its length a row ends in block 1, 2 or 3 of 4: the tail of the script is all end tokens.
    model = Recorder(scripted([2, 2, 3, 3, 3, 3, 3, 3, 3, END], before=0))
    got = dus.generate(model, prompts(7, 5, 1), planner="left-to-right", max_new_tokens=16, block_length=4)
    assert [len(tokens) for tokens in got.tokens] == [2, 4, 8]
    assert got.nfe == [4, 8, 12]
    assert [len(call.canvas) for call in model.calls] == [3] * 4 + [2] * 4 + [1] * 4


def test_rows_that_are_through_with_a_block_go_on_without_waiting_for_the_others():
    model = Recorder(hashed(3))
    rows = [torch.tensor([2, MASK, 3, 3, 3, MASK]), torch.tensor([2, MASK, MASK, MASK, MASK, MASK])]
    got = dus.generate(model, rows, planner="left-to-right", max_new_tokens=0, block_length=4, eos="ignore")
    assert got.nfe == [2, 5]
    assert [len(call.canvas) for call in model.calls] == [2, 2, 1, 1, 1]


def test_only_wanted_positions_are_read():
    model = Recorder(hashed(4))
    dus.generate(model, prompts(3, 3), planner="dus", max_new_tokens=16, block_length=8, eos="ignore")
    levels = [[0, 4], [2, 6], [1, 3, 5, 7]]
    expected = [[[3 + start + offset for offset in level]] * 2 for start in (0, 8) for level in levels]
    assert [call.read for call in model.calls] == expected


def test_an_adaptive_planner_reads_the_masks_of_the_block():
    model = Recorder(hashed(5))
    dus.generate(model, prompts(2), planner="left-to-right(per_step=2)", max_new_tokens=4, block_length=4)
    assert [call.read for call in model.calls] == [[[2, 3]], [[4, 5]]]
    model = Recorder(hashed(5))
    got = dus.generate(model, prompts(2), planner="confidence(per_step=2)", max_new_tokens=4, block_length=4)
    late = [2 + offset for offset, step in enumerate(got.trace.step[0].tolist()) if step == 1]
    assert [call.read for call in model.calls] == [[[2, 3, 4, 5]], [late]]


def test_each_row_reads_positions_of_its_own():
    model = Recorder(hashed(6))
    rows = [torch.tensor([2, MASK, MASK, 3, MASK]), torch.tensor([2, 3, MASK, MASK, MASK])]
    got = dus.generate(model, rows, planner="left-to-right", max_new_tokens=0, block_length=8, eos="ignore")
    assert got.nfe == [3, 3]
    assert [call.read for call in model.calls] == [[[1], [2]], [[2], [3]], [[4], [4]]]


def test_rows_read_as_many_positions_as_each_of_them_needs():
    model = Recorder(hashed(7))
    rows = [torch.tensor([2, MASK, 3, 3, MASK, MASK, MASK]), torch.tensor([2, MASK, 3, 3, 3, MASK, 3])]
    dus.generate(model, rows, planner="eb(gamma=100)", max_new_tokens=0, block_length=3, eos="ignore")
    assert [call.read for call in model.calls] == [[[1], [1]], [[4, 5, 6], [5]]]


def test_padding_is_masked_out_and_only_where_there_is_some():
    model = Recorder(hashed(8))
    dus.generate(model, prompts(3, 3), max_new_tokens=4, block_length=4)
    assert all(call.attention_mask is None for call in model.calls)
    model = Recorder(hashed(8))
    dus.generate(model, prompts(3, 1), max_new_tokens=4, block_length=4)
    assert all(call.attention_mask.tolist() == [[*[1] * 5, 0, 0], [1] * 7] for call in model.calls)


def test_a_batch_size_bounds_the_rows_of_a_call_and_puts_similar_lengths_together():
    model = Recorder(hashed(9))
    got = dus.generate(model, prompts(9, 1, 8, 2, 9), max_new_tokens=4, block_length=4, batch_size=2, eos="ignore")
    assert [tuple(call.canvas.shape) for call in model.calls[::2]] == [(2, 6), (2, 13), (1, 13)]
    assert len(got.tokens) == 5


def test_a_thousand_positions_in_one_block_take_seconds():
    model = constant(torch.randn(32, generator=torch.Generator().manual_seed(0)))
    long = dus.generate(model, prompts(4), planner="dus", max_new_tokens=1024, block_length=1024, eos="ignore")
    assert long.nfe == [10]
    one_by_one = dus.generate(
        model, prompts(4), planner="confidence", max_new_tokens=1024, block_length=1024, eos="ignore"
    )
    assert one_by_one.nfe == [1024]
    assert not (one_by_one.tokens[0] == MASK).any()
