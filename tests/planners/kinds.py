"""Random planners of every registered kind."""

import math
from functools import partial

from hypothesis import strategies as st

from dus.planners import (
    DUS,
    Confidence,
    Entropy,
    EntropyBounded,
    Factor,
    Halton,
    LeftToRight,
    Levels,
    Margin,
    PlannerError,
    Random,
    ReMDM,
    Wrapper,
    registered,
)
from dus.planners.fields import kinds, text_fields

counts = st.integers(1, 40)
seeds = st.integers(-(2**63), 2**63 - 1)
probabilities = st.floats(0, 1)


def dilated(orders=("coarse-to-fine", "fine-to-coarse", "random", "entropy")):
    shared = {"base": st.integers(2, 9), "order": st.sampled_from(orders), "seed": seeds}
    by = st.sampled_from(["sum", "mean"])
    return st.builds(DUS, **shared, by=by) | st.builds(
        DUS, **shared, by=by, groups=st.just("residues"), stride=st.none() | counts
    )


def ranked(kind, **fields):
    like = dilated(("coarse-to-fine", "fine-to-coarse", "random"))
    return (
        st.builds(kind, **fields)
        | st.builds(kind, steps=counts, **fields)
        | st.builds(kind, per_step=counts, **fields)
        | st.builds(kind, like=like, **fields)
    )


@st.composite
def listed(draw):
    """Levels of a block that is longer than any in these tests."""
    length, count = draw(st.integers(24, 40)), draw(counts)
    turns = [draw(st.integers(0, count - 1)) for _ in range(length)]
    levels = [[str(offset) for offset in range(length) if turns[offset] == turn] for turn in range(count)]
    return Levels(groups="/".join(" ".join(level) for level in levels if level))


def by_kind(kind):
    """Values that a field may hold, most of them such that they can be meant; None where any string might do."""
    if kind.choices:
        return st.sampled_from(kind.choices)
    values = {int: st.integers(0, 40), float: probabilities | st.floats(0, 100), bool: st.booleans()}
    return values.get(kind.type)


@st.composite
def built(draw, cls, *inner):
    """A planner of a class of which nothing is known but its fields, or its example where they cannot be meant."""
    known = {label: by_kind(kinds(cls)[label]) for label in text_fields(cls)}
    chosen = {label: draw(values) for label, values in known.items() if values is not None and draw(st.booleans())}
    try:
        return cls(*inner, **chosen)
    except (PlannerError, TypeError):
        return cls(*inner) if inner else cls.example(draw(st.integers(24, 40)))


BY_HAND = {
    "dus": dilated(),
    "confidence": ranked(Confidence),
    "entropy": ranked(Entropy),
    "margin": ranked(Margin),
    "random": ranked(Random, seed=seeds),
    "left-to-right": ranked(LeftToRight),
    "halton": ranked(Halton),
    "eb": st.builds(EntropyBounded, gamma=st.floats(0, 100) | st.just(math.inf)),
    "factor": st.builds(Factor, f=st.floats(0, 100, exclude_min=True) | st.just(math.inf)),
    "levels": listed(),
    "remdm": st.builds(ReMDM, steps=counts, seed=seeds),
}
UNWRAPPED = {name: BY_HAND.get(name, built(cls)) for name, cls in registered().items() if not issubclass(cls, Wrapper)}
unwrapped = st.one_of(*UNWRAPPED.values())


def wrapped(inner):
    return {name: inner.flatmap(partial(built, cls)) for name, cls in registered().items() if issubclass(cls, Wrapper)}


planners = st.recursive(unwrapped, lambda inner: st.one_of(*wrapped(inner).values()), max_leaves=4)
KINDS = {**UNWRAPPED, **wrapped(planners)}
