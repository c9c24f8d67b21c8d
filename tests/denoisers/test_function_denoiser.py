"""Denoisers made of functions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.denoisers import Denoiser, DenoiserError, from_callable
from dus.denoisers.columns import Layout

SIZE = 5


def neighbours(canvas):
    """Logits that depend on the whole row: what stands to the left, and how long the row is."""
    left = torch.nn.functional.one_hot(canvas.roll(1, dims=1), SIZE).float()
    return left + canvas.shape[1]


def test_a_function_is_a_denoiser():
    denoiser = from_callable(neighbours, mask_token_id=4, vocab_size=SIZE, eos_token_ids=[0], max_length=9)
    assert isinstance(denoiser, Denoiser)
    assert (denoiser.mask_token_id, denoiser.vocab_size) == (4, SIZE)
    assert (denoiser.eos_token_ids, denoiser.max_length, denoiser.tokenizer) == ((0,), 9, None)
    canvas = torch.tensor([[0, 1, 2], [3, 4, 0]])
    full = neighbours(canvas)
    assert torch.equal(denoiser.logits(canvas, read=torch.tensor([2, 0])), full[:, [2, 0]])
    each = denoiser.logits(canvas, read=torch.tensor([[2], [1]]))
    assert torch.equal(each, torch.stack([full[0, [2]], full[1, [1]]]))


@given(st.lists(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=6), min_size=1, max_size=5), st.data())
def test_a_function_that_knows_no_padding_never_sees_any(rows, data):
    denoiser = from_callable(neighbours, mask_token_id=4, vocab_size=SIZE)
    before = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    width = max(pad + len(row) for pad, row in zip(before, rows, strict=True))
    canvas, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    reads = []
    for i, (pad, row) in enumerate(zip(before, rows, strict=True)):
        canvas[i, pad : pad + len(row)] = torch.tensor(row)
        mask[i, pad : pad + len(row)] = 1
        reads.append(pad + data.draw(st.integers(0, len(row) - 1)))
    together = denoiser.logits(canvas, read=torch.tensor(reads)[:, None], attention_mask=mask)
    for i, (pad, row) in enumerate(zip(before, rows, strict=True)):
        assert torch.equal(together[i, 0], neighbours(torch.tensor([row]))[0, reads[i] - pad])


def test_a_function_that_takes_the_mask_gets_it():
    seen = []

    def masked(canvas, attention_mask):
        seen.append(attention_mask)
        return torch.zeros(*canvas.shape, SIZE)

    mask = torch.tensor([[0, 1, 1]])
    denoiser = from_callable(masked, mask_token_id=4, vocab_size=SIZE)
    denoiser.logits(torch.zeros(1, 3, dtype=torch.long), read=torch.arange(3), attention_mask=mask)
    denoiser.logits(torch.zeros(1, 3, dtype=torch.long), read=torch.arange(3))
    assert seen == [mask, None]


@pytest.mark.parametrize("answer", [torch.zeros(1, 3, SIZE + 1), torch.zeros(3, SIZE), [[0.0] * SIZE] * 3, None])
def test_a_wrong_answer_is_named(answer):
    denoiser = from_callable(lambda canvas: answer, mask_token_id=4, vocab_size=SIZE)
    with pytest.raises(DenoiserError, match=r"logits of shape \(1, 3, 5\), not"):
        denoiser.logits(torch.zeros(1, 3, dtype=torch.long), read=torch.arange(3))


def test_what_a_function_cannot_have():
    for outside in (-1, SIZE):
        with pytest.raises(DenoiserError, match="not in the vocabulary"):
            from_callable(neighbours, mask_token_id=outside, vocab_size=SIZE)
    denoiser = from_callable(neighbours, mask_token_id=4, vocab_size=SIZE)
    with pytest.raises(DenoiserError, match="takes no key and value cache"):
        denoiser.logits(torch.zeros(1, 3, dtype=torch.long), read=torch.arange(3), cache=object())


@given(st.data())
def test_a_layout_says_what_is_computed_and_where_it_then_stands(data):
    width = data.draw(st.integers(1, 12))
    some = st.lists(st.integers(0, width - 1), min_size=1, unique=True).map(sorted)
    each = data.draw(st.lists(some, min_size=1, max_size=4))
    if data.draw(st.booleans()):
        each = [each[0]] * len(each)
    counts, first = tuple(map(len, each)), tuple(columns[0] for columns in each)
    rows = torch.tensor([row for row, columns in enumerate(each) for _ in columns])
    columns = torch.tensor([column for columns in each for column in columns])
    alike = len(set(counts)) == 1
    layout = Layout(columns.view(len(each), -1) if alike else columns, None if alike else rows, counts, first, (width,))
    canvas = torch.arange(len(each) * width).view(-1, width)
    computed = layout.of(canvas).flatten()
    assert computed.tolist() == [row * width + column for row, mine in enumerate(each) for column in mine]
    every = torch.arange(len(each))[:, None], torch.arange(width)
    place = layout.find(*every)
    for row, mine in enumerate(each):
        for column in range(width):
            if column in mine:
                assert computed[place[row, column]] == canvas[row, column]
            else:
                assert place[row, column] == len(computed)


def test_a_module_is_a_function_too():
    class Table(torch.nn.Module):
        def forward(self, canvas):
            return neighbours(canvas)

    canvas = torch.tensor([[0, 1, 2, 3]])
    denoiser = from_callable(Table(), mask_token_id=4, vocab_size=SIZE, device="meta")
    assert denoiser.device.type == "meta"
    assert torch.equal(denoiser.logits(canvas, read=torch.tensor([1])), neighbours(canvas)[:, [1]])
