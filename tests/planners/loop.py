"""A small loop that keeps the promises which planners rely on, and checks what planners promise it."""

from dataclasses import dataclass

import torch

from dus.planners import Prediction

from .blocks import SCORES, offsets


class World:
    """What a denoiser might say at each call of each row: sixteenths, the same whatever the batch."""

    def __init__(self, seed, rows, width):
        draws = torch.Generator().manual_seed(seed)
        self.place = {int(row): place for place, row in enumerate(rows)}
        self.scores = {name: torch.randint(17, (len(rows), width, width), generator=draws) / 16 for name in SCORES}

    def __call__(self, rows, call, wanted):
        """The scores at wanted positions, zero elsewhere."""
        places = [self.place[int(row)] for row in rows]
        return {name: scores[places, call] * wanted for name, scores in self.scores.items()}


@dataclass(frozen=True)
class Call:
    """What one call did to one row, as sets of offsets."""

    wanted: frozenset[int]
    unmasked: frozenset[int]
    revised: frozenset[int]


def settle(planner, block):
    """Pass levels without a mask over; where that does not help, all masks are wanted."""
    last = torch.tensor([(planner.steps(length) or length) - 1 for length in block.length.tolist()])
    while True:
        wanted = planner.wanted(block)
        stuck = block.masked.any(dim=1) & ~(wanted & block.masked).any(dim=1)
        if not (stuck & (block.step < last)).any():
            return block, wanted | (block.masked & stuck[:, None])
        block = block.at(block.step + (stuck & (block.step < last)))


def decide(planner, block, wanted, scores):
    """What to unmask, at least one position a row, and what to take back, fewer than that."""
    prediction = Prediction() if planner.scheduled else Prediction(**scores)
    selected = planner.select(block, prediction)
    assert not (selected & ~(wanted & block.masked)).any(), "selected outside of wanted and masked"
    assert not planner.scheduled or torch.equal(selected, planner.wanted(block) & block.masked)
    revised = planner.revise(block, prediction)
    assert not (revised & (block.masked | block.given | ~block.initially_masked)).any(), "revised what it may not"
    assert planner.revises or not revised.any()
    for row in range(len(block.step)):
        if not selected[row].any():
            allowed = scores["confidence"][row].masked_fill(~(wanted & block.masked)[row], -1)
            selected[row, allowed.argmax()] = True
        for position in revised[row].nonzero()[:, 0][int(selected[row].sum()) - 1 :]:
            revised[row, position] = False
    return selected, revised


def decode(planner, block, world):
    """Decode a block; for each row the list of its calls, in the order of `block`'s rows."""
    history = {int(row): [] for row in block.row}
    for call in range(block.masked.shape[1] + 1):
        block = block[block.masked.any(dim=1)]
        if not len(block.step):
            return list(history.values())
        block, wanted = settle(planner, block)
        scores = world(block.row, call, wanted)
        selected, revised = decide(planner, block, wanted, scores)
        for row, *sets in zip(block.row.tolist(), offsets(wanted), offsets(selected), offsets(revised), strict=True):
            history[row].append(Call(*map(frozenset, sets)))
        block = block.after(selected, revised, scores["confidence"])
    raise AssertionError("a call unmasks at least one position more than it masks, so this cannot be reached")
