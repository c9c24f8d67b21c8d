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

    mask = torch.tensor([[True, True, False], [True, True, True]])
    denoiser = from_callable(masked, mask_token_id=4, vocab_size=SIZE)
    denoiser.logits(torch.zeros(2, 3, dtype=torch.long), read=torch.arange(2), attention_mask=mask)
    denoiser.logits(torch.zeros(2, 3, dtype=torch.long), read=torch.arange(3))
    assert torch.equal(seen[0], mask.long())
    assert seen[0].dtype is torch.int64
    assert seen[1] is None


def positioned(canvas, attention_mask=None, position_ids=None):
    """A model with learned positions, here the first SIZE of them, which attends over what is not padding."""
    places = torch.arange(canvas.shape[1]).expand(canvas.shape) if position_ids is None else position_ids
    kept = torch.ones_like(canvas) if attention_mask is None else attention_mask
    each = torch.nn.functional.one_hot(canvas, SIZE) * 2.0 + torch.nn.functional.one_hot(places % SIZE, SIZE)
    return each + (each * kept[:, :, None]).sum(dim=1, keepdim=True)


@pytest.mark.parametrize(
    "fn",
    [
        positioned,
        lambda canvas, attention_mask=None: positioned(canvas, attention_mask),
        lambda canvas, **told: positioned(canvas, **told),  # noqa: PLW0108 - its signature is what differs
        lambda canvas: positioned(canvas),  # noqa: PLW0108
    ],
    ids=["both", "mask", "any", "neither"],
)
@pytest.mark.parametrize("shift", [0, 1])
def test_rows_with_padding_get_what_they_get_alone(fn, shift):
    denoiser = from_callable(fn, mask_token_id=4, vocab_size=SIZE, shift=shift)
    assert denoiser.shift == shift
    rows = [torch.tensor([1, 4, 2, 3]), torch.tensor([3, 0]), torch.tensor([2])]
    for left in (True, False):
        canvas, mask = torch.zeros(3, 4, dtype=torch.long), torch.zeros(3, 4, dtype=torch.bool)
        for i, row in enumerate(rows):
            where = slice(4 - len(row), None) if left else slice(None, len(row))
            canvas[i, where], mask[i, where] = row, True
        read = torch.tensor([[3], [3], [3]] if left else [[3], [1], [0]])
        together = denoiser.logits(canvas, read=read, attention_mask=mask)[:, 0]
        pairs = denoiser.logits(canvas, read=(torch.arange(3), read[:, 0]), attention_mask=mask)
        assert torch.equal(together, pairs)
        for i, row in enumerate(rows):
            alone = denoiser.logits(row[None], read=torch.tensor([len(row) - 1]))[0, 0]
            assert torch.equal(together[i], alone)
            assert torch.equal(alone, positioned(row[None])[0, max(len(row) - 1 - shift, 0)])


@pytest.mark.parametrize("shift", [2, -1, None, "one"])
def test_a_shift_is_none_or_one(shift):
    with pytest.raises(DenoiserError, match="0 where row i predicts token i, 1 where"):
        from_callable(neighbours, mask_token_id=4, vocab_size=SIZE, shift=shift)


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
