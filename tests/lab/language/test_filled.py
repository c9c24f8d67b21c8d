"""What real spans cost under a planner, against the same sum written out, on a denoiser that is a table."""

import pytest
import torch

from dus.denoisers import DenoiserError, from_callable
from dus.lab.language.filled import MARGIN, PLANNERS, SpanDenoiser, claim, cost, measured, table
from dus.writing.tables import code

VOCAB, MASK = 7, 2


@pytest.fixture(scope="module")
def model():
    weight = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(0))
    place = torch.randn(40, VOCAB, generator=torch.Generator().manual_seed(1))

    def logits(canvas):
        near = weight[canvas.roll(1, 1)] + weight[canvas.roll(-1, 1)] / 2 + weight[canvas.roll(2, 1)] / 3
        return near + place[: canvas.shape[1]]

    return from_callable(logits, mask_token_id=MASK, vocab_size=VOCAB)


@pytest.fixture(scope="module")
def rows():
    tokens = torch.randint(VOCAB - 1, (3, 24), generator=torch.Generator().manual_seed(2))
    return tokens + (tokens >= MASK).long()  # no mask among them


def written_out(model, row, start, length, groups):
    """Minus the log-probability of a span whose positions are written in groups."""
    canvas, total = row.clone(), 0.0
    canvas[start : start + length] = MASK
    for group in groups:
        logits = model.logits(canvas[None], read=torch.arange(len(row)))[0].double()
        logits[:, MASK] = -torch.inf
        logs = logits.log_softmax(-1)
        total -= sum(float(logs[start + place, row[start + place]]) for place in group)
        for place in group:
            canvas[start + place] = row[start + place]
    return total / length


@pytest.mark.parametrize(
    ("planner", "groups"),
    [("left-to-right", [[0], [1], [2], [3]]), ("eb(gamma=99)", [[0, 1, 2, 3]]), ("dus", [[0, 2], [1, 3]])],
)
def test_costs_are_the_sum_over_steps(model, rows, planner, groups):
    starts = torch.tensor([4, 9, 6])
    spans = torch.stack([row[start : start + 4] for row, start in zip(rows, starts, strict=True)])
    nats, calls = cost(SpanDenoiser(model, rows, starts), spans, planner)
    expected = [written_out(model, row, int(start), 4, groups) for row, start in zip(rows, starts, strict=True)]
    assert nats.tolist() == pytest.approx(expected, abs=1e-5)
    assert calls.tolist() == [len(groups)] * 3


def test_confidence_takes_the_surest_place_first(model, rows):
    starts = torch.tensor([5, 5, 5])
    spans = rows[:, 5:9]
    nats, _ = cost(SpanDenoiser(model, rows, starts), spans, "confidence(per_step=1)")
    row, left, groups = rows[0].clone(), [0, 1, 2, 3], []
    row[5:9] = MASK
    while left:
        logits = model.logits(row[None], read=torch.arange(len(row)))[0]
        logits[:, MASK] = -torch.inf
        chosen = max(left, key=lambda place: float(logits[5 + place].softmax(-1).max()))
        left.remove(chosen)
        groups.append([chosen])
        row[5 + chosen] = rows[0, 5 + chosen]
    assert float(nats[0]) == pytest.approx(written_out(model, rows[0], 5, 4, groups), abs=1e-5)


def test_every_planner_has_its_row_and_equal_calls_where_they_are_promised(model, rows):
    found = [measured(model, rows, torch.full((3,), 22), 8, seed) for seed in range(2)]
    shown = table(found)
    assert all(f"{code(planner)} |" in shown for planner in PLANNERS)
    for planner in ("confidence(like=dus)", "entropy(like=dus)", "random(like=dus)"):
        assert found[0][planner]["calls"] == found[0]["dus"]["calls"] == [3, 3, 3]
    assert "paper's claim" in claim(found)


def test_spans_lie_inside(model, rows, monkeypatch):
    ends, seen = torch.tensor([20, 17, 16]), []
    monkeypatch.setattr(
        "dus.lab.language.filled.cost",
        lambda denoiser, spans, planner: seen.append(denoiser.starts) or (torch.zeros(3), torch.zeros(3)),
    )
    for seed in range(30):
        measured(model, rows, ends, 8, seed)
    starts = torch.stack(seen)
    assert (starts >= MARGIN).all()
    assert (starts + 8 <= ends - MARGIN).all()
    assert starts[:, 0].unique().tolist() == [4, 5, 6, 7, 8]


def test_a_cache_is_refused(model, rows):
    denoiser = SpanDenoiser(model, rows, torch.tensor([4, 4, 4]))
    with pytest.raises(DenoiserError, match="without a cache"):
        denoiser.logits(rows[:, :4], read=torch.arange(4), cache=object())
