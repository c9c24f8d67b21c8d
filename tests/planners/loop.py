"""A small loop that keeps the promises which planners rely on, and checks what planners promise it."""

from dataclasses import dataclass

import torch

from dus.planners import Prediction

from .blocks import SCORES, offsets

LINGERING = 40
"""Calls that a planner may ask for at most when no mask is left."""


class World:
    """What a denoiser might say at each call of each row: sixteenths and tokens, the same whatever the batch."""

    def __init__(self, seed, rows, width):
        draws = torch.Generator().manual_seed(seed)
        self.place = {int(row): place for place, row in enumerate(rows)}
        shape = (len(rows), width + LINGERING, width)
        self.scores = {name: torch.randint(17, shape, generator=draws) / 16 for name in SCORES}
        self.scores["token"] = torch.randint(5, shape, generator=draws)
        self.scores["divergence"][:, 0] = torch.inf

    def __call__(self, rows, call, wanted):
        """The scores at wanted positions, zero elsewhere."""
        places = [self.place[int(row)] for row in rows]
        return {name: scores[places, call].masked_fill(~wanted, 0) for name, scores in self.scores.items()}


@dataclass(frozen=True)
class Call:
    """What one call did to one row, as sets of offsets."""

    wanted: frozenset[int]
    unmasked: frozenset[int]
    revised: frozenset[int]
    edited: frozenset[int]


def settle(planner, block):
    """Pass levels without a mask over; where that does not help, all masks are wanted."""
    last = torch.tensor([(planner.num_steps(length) or length) - 1 for length in block.length.tolist()])
    while True:
        wanted = planner.wanted(block)
        stuck = block.masked.any(dim=1) & ~(wanted & block.masked).any(dim=1)
        if not (stuck & (block.step < last)).any():
            return block, wanted | (block.masked & stuck[:, None])
        block = block.at(block.step + (stuck & (block.step < last)))


def predicted(planner, scores):
    """What the planner may read: nothing where it is scheduled, no divergence where it does not compare."""
    read = {name: score for name, score in scores.items() if name != "divergence" or planner.compares}
    return Prediction(**({} if planner.scheduled else read))


def decide(planner, block, wanted, scores):
    """What to unmask, at least one position a row with masks, what to take back, fewer than that, and what to edit."""
    prediction = predicted(planner, scores)
    selected = planner.select(block, prediction)
    assert not (selected & ~(wanted & block.masked)).any(), "selected outside of wanted and masked"
    assert not planner.scheduled or torch.equal(selected, planner.wanted(block) & block.masked)
    revised, edited = planner.revise(block, prediction), planner.edit(block, prediction)
    untouchable = block.masked | block.given | ~block.initially_masked
    assert not ((revised | edited) & untouchable).any(), "revised or edited what it may not"
    assert not (edited & (revised | ~wanted)).any(), "edited what it takes back, or what it has no prediction for"
    assert planner.revises or not revised.any()
    assert planner.edits or not edited.any()
    for row in range(len(block.step)):
        if block.masked[row].any() and not selected[row].any():
            allowed = scores["confidence"][row].masked_fill(~(wanted & block.masked)[row], -1)
            selected[row, allowed.argmax()] = True
        for position in revised[row].nonzero()[:, 0][max(int(selected[row].sum()) - 1, 0) :]:
            revised[row, position] = False
    return selected, revised, edited


def decode(planner, block, world):
    """Decode a block; for each row the list of its calls, in the order of `block`'s rows."""
    history = {int(row): [] for row in block.row}
    for call in range(block.masked.shape[1] + LINGERING):
        block = block[block.masked.any(dim=1) | (planner.lingers(block) & block.initially_masked.any(dim=1))]
        if not len(block.step):
            return list(history.values())
        block, wanted = settle(planner, block)
        scores = world(block.row, call, wanted)
        done = decide(planner, block, wanted, scores)
        for row, *sets in zip(block.row.tolist(), *map(offsets, (wanted, *done)), strict=True):
            history[row].append(Call(*map(frozenset, sets)))
        selected, revised, edited = done
        divergence = scores["divergence"] if planner.compares else None
        block = block.after(selected, revised, scores["confidence"], edited if planner.edits else None, divergence)
    raise AssertionError("a call unmasks at least one position more than it masks, so this cannot be reached")
