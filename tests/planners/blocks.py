"""Random blocks and predictions, as plain rows and as the tensors that planners see."""

import math
from dataclasses import dataclass, field

import torch
from hypothesis import settings
from hypothesis import strategies as st

from dus.planners import BlockState, Prediction

SCORES = ("confidence", "entropy", "margin", "token_confidence", "divergence", "token")

quick = settings(max_examples=40, deadline=None)
brief = settings(max_examples=20, deadline=None)
"""For tests that run once for every kind of planner."""


def sixteenths():
    """Numbers that float32 holds and sums exactly."""
    return st.integers(0, 16).map(lambda number: number / 16)


@dataclass
class Row:
    """One row in the middle of a block; sets hold offsets from 0, lists have the width of the batch."""

    length: int
    initially: set[int]
    masked: set[int]
    then: list[float]
    before: list[float]
    scores: dict[str, list[float]]
    step: int = 0
    index: int = 0
    start: int = 0

    @property
    def unmasked(self):
        return self.initially - self.masked


@dataclass
class Batch:
    """Rows side by side, and their tensors."""

    width: int
    rows: list[Row]
    block: BlockState = field(init=False)
    prediction: Prediction = field(init=False)

    def __post_init__(self):
        def flags(choose):
            return torch.tensor([[k in choose(row) for k in range(self.width)] for row in self.rows])

        initially, masked = flags(lambda row: row.initially), flags(lambda row: row.masked)
        self.block = BlockState(
            masked=masked,
            given=flags(lambda row: set(range(row.length)) - row.initially),
            initially_masked=initially,
            unmasked_at=torch.where(initially & ~masked, 0, -1),
            confidence_then=torch.tensor([row.then for row in self.rows]) * (initially & ~masked),
            step=torch.tensor([row.step for row in self.rows]),
            length=torch.tensor([row.length for row in self.rows]),
            row=torch.tensor([row.index for row in self.rows]),
            start=torch.tensor([row.start for row in self.rows]),
            divergence_then=torch.tensor([row.before for row in self.rows]),
        )
        self.prediction = Prediction(**{name: torch.tensor([row.scores[name] for row in self.rows]) for name in SCORES})


@st.composite
def batches(draw, max_width=12, max_step=8):
    """Rows at random places of a block: some positions given, some unmasked, at least one masked.

    Scores are sixteenths, of which there are few enough for ties.
    """
    width, most = draw(st.integers(1, max_width)), draw(st.integers(0, 16))
    random = draw(st.randoms(use_true_random=True))

    def values():
        return [random.randint(0, most) / 16 for _ in range(width)]

    def divergences():
        return [math.inf if random.random() < 0.2 else random.randint(0, most) / 16 for _ in range(width)]

    def scores():
        own = {"divergence": divergences(), "token": [random.randint(0, 4) for _ in range(width)]}
        return {name: own.get(name) or values() for name in SCORES}

    def row(index):
        length = draw(st.integers(1, width))
        initially = {k for k in range(length) if random.random() < 0.8} or {length - 1}
        masked = {k for k in initially if random.random() < 0.6} or {min(initially)}
        return Row(
            length=length,
            initially=initially,
            masked=masked,
            then=values(),
            before=divergences(),
            scores=scores(),
            step=draw(st.integers(min(1, len(initially - masked)), max_step)),
            index=index,
            start=random.choice([0, 32, 96]),
        )

    return Batch(
        width, [row(index) for index in draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))]
    )


@st.composite
def beginnings(draw, max_width=24, max_rows=4, given=True):
    """A `BlockState` before its first step: rows of different lengths, some with positions given."""
    width, rows = draw(st.integers(1, max_width)), draw(st.sets(st.integers(0, 999), min_size=1, max_size=max_rows))
    random = draw(st.randoms(use_true_random=True))
    share = draw(st.sampled_from([0.2, 0.8, 1])) if given else 1
    return BlockState.begin(
        torch.tensor([[random.random() < share for _ in range(width)] for _ in rows]),
        length=torch.tensor([draw(st.integers(1, width)) for _ in rows]),
        row=torch.tensor(list(rows)),
        start=torch.tensor([random.choice([0, 32, 96]) for _ in rows]),
    )


def offsets(flags):
    """For each row of a bool `[N, B]` the set of its true offsets."""
    return [{k for k, flag in enumerate(row) if flag} for row in flags.tolist()]
