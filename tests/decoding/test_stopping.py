"""Where an answer ends: end tokens, stop strings."""

import pytest
import torch

import dus

from .standins import END, MASK, Pieces, Recorder, hashed, scripted
from .test_infill import byte_level

LETTERS = Pieces("a", "b", "c", "d", "|", "ab", "b|c", "\n", "\n\n", "é")
A, B, C, D, BAR, AB, B_BAR_C, LINE, LINES = range(2, 11)


def answer(script, **kwargs):
    """What comes after the prompt "d" from a denoiser that writes the script."""
    model = scripted(script, before=1, vocab_size=12, tokenizer=LETTERS)
    return dus.generate(model, "d", **{"max_new_tokens": 8, "block_length": 4, "planner": "dus", **kwargs})


def test_a_row_ends_after_the_block_of_its_first_end_token():
    got = answer([A, B, C, D, A, END, B, B, C])
    assert got.tokens[0].tolist() == [A, B, C, D, A]
    assert got.text == ["abcda"]
    got = answer([A, END, C, D, A, B, B, B])
    assert got.tokens[0].tolist() == [A]
    assert got.written == [4]
    assert got.nfe == [2]
    assert len(got.trace.step[0]) == 4


def test_ignoring_the_end_generates_the_full_length():
    script = [A, END, C, D, END, B, B, B]
    got = answer(script, eos="ignore")
    assert got.tokens[0].tolist() == script
    assert got.text == ["acdbbb"]
    assert got.written == [8]
    assert len(got.trace.step[0]) == 8


@pytest.mark.parametrize("end", [1, 5])
def test_any_of_several_end_tokens_ends_a_row(end):
    model = scripted([A, B, end, C], before=1, vocab_size=12, eos_token_ids=(1, 5))
    got = dus.generate(model, torch.tensor([[3]]), max_new_tokens=8, block_length=4)
    assert got.tokens[0].tolist() == [A, B]
    assert got.written == [4]


def test_a_model_without_end_tokens_writes_the_full_length():
    model = scripted([A, END, C], before=1, vocab_size=12, eos_token_ids=())
    got = dus.generate(model, torch.tensor([[3]]), max_new_tokens=8, block_length=4)
    assert len(got.tokens[0]) == 8


def test_an_end_token_that_was_given_ends_nothing():
    row = torch.tensor([3, END, MASK, END, A, MASK, MASK])
    model = scripted([A, END, B, END, A, C, D, D, D, D], before=0, vocab_size=12)
    got = dus.generate(model, [row], max_new_tokens=2, block_length=3)
    assert got.tokens[0].tolist() == [B, END, A, C, D, D, D]
    assert got.written == got.useful == [5]


def test_each_row_of_a_batch_ends_on_its_own():
    model = hashed(3)
    prompts = [torch.tensor([number, 3]) for number in range(2, 10)]
    full = dus.generate(model, prompts, max_new_tokens=32, block_length=4, eos="ignore")
    got = dus.generate(model, prompts, max_new_tokens=32, block_length=4)
    assert len({len(tokens) for tokens in got.tokens}) > 3
    for one, whole, calls, useful in zip(got.tokens, full.tokens, got.nfe, got.useful, strict=True):
        ends = [place for place, token in enumerate(whole.tolist()) if token == END] or [len(whole)]
        assert one.tolist() == whole.tolist()[: ends[0]]
        assert calls == 2 * min(ends[0] // 4 + 1, 8)
        assert useful == len(one)


@pytest.mark.parametrize("planner", ["dus", "confidence(per_step=2)"])
@pytest.mark.parametrize(
    ("script", "stop", "text", "tokens", "blocks"),
    [
        pytest.param([A, B, BAR, C, D], "|", "ab", [A, B], 1, id="a whole token"),
        pytest.param([A, B_BAR_C, C, D], "|", "ab", [A], 1, id="inside a token"),
        pytest.param([A, C, AB, D, D], "ca", "a", [A], 1, id="over two tokens, into the second"),
        pytest.param([A, A, A, LINE, LINE, B], "\n\n", "aaa", [A, A, A], 2, id="over the border of two blocks"),
        pytest.param([A, A, A, LINES, B], "\n\n", "aaa", [A, A, A], 1, id="one token for the whole string"),
        pytest.param([BAR, A, B, C], "|", "", [], 1, id="at once"),
        pytest.param([A, B, C, D, A, B, C, D], "|", "abcdabcd", [A, B, C, D] * 2, 2, id="not there"),
        pytest.param([A, B, C, D], ["d", "bc"], "a", [A], 1, id="the first of several"),
        pytest.param([A, B, C, D], ["bcd", "c"], "a", [A], 1, id="the one that begins first"),
        pytest.param([A, BAR, END, D], "|", "a", [A], 1, id="before an end token"),
        pytest.param([A, END, BAR, D], "|", "a", [A], 1, id="behind an end token"),
    ],
)
def test_a_stop_string_cuts_exactly(planner, script, stop, text, tokens, blocks):
    got = answer(script, stop=stop, planner=planner)
    assert got.text == [text]
    assert got.tokens[0].tolist() == tokens
    assert got.nfe == [2 * blocks]
    assert got.useful == [len(tokens)]


def test_a_stop_string_ends_a_row_though_end_tokens_are_ignored():
    got = answer([A, END, BAR, D, D], stop="|", eos="ignore")
    assert got.nfe == [2]
    assert got.text == ["a"]


def test_a_stop_string_in_the_prompt_stops_nothing():
    model = scripted([A], before=2, vocab_size=12, tokenizer=LETTERS)
    got = dus.generate(model, "|d", max_new_tokens=8, block_length=4, stop="|")
    assert got.text == ["aaaaaaaa"]


def test_a_stop_string_between_what_was_given_and_what_is_written_is_found():
    row = torch.tensor([D, MASK, BAR, MASK, MASK, MASK])
    model = scripted([D, A, BAR, BAR, B, B], before=0, vocab_size=12, tokenizer=LETTERS)
    got = dus.generate(model, [row], planner="dus", max_new_tokens=4, block_length=4, stop="||")
    assert got.text == ["a"]
    assert len(got.trace.step[0]) == 4


def test_masks_that_are_not_neighbours_make_no_stop_string_together():
    row = torch.tensor([D, MASK, A, MASK, MASK, MASK])
    model = scripted([D, BAR, A, BAR, B, B], before=0, vocab_size=12, tokenizer=LETTERS)
    got = dus.generate(model, [row], planner="dus", max_new_tokens=4, block_length=4, stop="||")
    assert len(got.tokens[0]) == 9
    assert got.text == ["|a|bbbbbb"]


@pytest.mark.parametrize("eos", ["stop", "ignore"])
def test_a_stop_string_may_be_a_token_that_leaves_no_trace_in_a_text(eos):
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>"]})
    script = [*tokenizer("ab")["input_ids"], *tokenizer("<|user|>")["input_ids"], *tokenizer("cd")["input_ids"]]
    model = scripted(script, before=1, vocab_size=len(tokenizer), tokenizer=tokenizer)
    got = dus.generate(model, "x", planner="dus", max_new_tokens=16, block_length=4, stop="<|user|>", eos=eos)
    assert got.text == ["ab"]
    assert got.tokens[0].tolist() == script[:2]
    assert got.useful == [2]
    assert len(got.trace.step[0]) == 4
    whole = dus.generate(model, "x", planner="dus", max_new_tokens=8, block_length=4, eos=eos)
    assert whole.text[0].startswith("abcd")


def test_rows_that_stop_leave_the_batch():
    model = Recorder(scripted([A, A, A, B, D, BAR, C, C, C, C], before=0, vocab_size=12, tokenizer=LETTERS))
    got = dus.generate(model, ["d", "dddd"], planner="dus", max_new_tokens=8, block_length=4, stop=["|", "cc"])
    assert got.text == ["aabd", "d"]
    assert [len(call.canvas) for call in model.calls] == [2, 2, 1, 1]
