"""Random planners of every registered kind."""

import math

from hypothesis import strategies as st

from dus.planners import (
    DUS,
    Confidence,
    ConfidenceBounded,
    Deferred,
    Entropy,
    EntropyBounded,
    Factor,
    LeftToRight,
    Levels,
    Margin,
    Random,
    ReMDM,
    Saber,
    Spaced,
)

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


UNWRAPPED = {
    "dus": dilated(),
    "confidence": ranked(Confidence),
    "entropy": ranked(Entropy),
    "margin": ranked(Margin),
    "random": ranked(Random, seed=seeds),
    "left-to-right": ranked(LeftToRight),
    "eb": st.builds(EntropyBounded, gamma=st.floats(0, 100) | st.just(math.inf)),
    "cb": st.builds(ConfidenceBounded, tau=probabilities),
    "factor": st.builds(Factor, f=st.floats(0, 100, exclude_min=True) | st.just(math.inf)),
    "levels": listed(),
    "saber": st.builds(Saber, n=counts),
    "remdm": st.builds(ReMDM, steps=counts, seed=seeds),
}
unwrapped = st.one_of(*UNWRAPPED.values())


def wrapped(inner):
    return {
        "spaced": st.builds(Spaced, inner, gap=st.integers(0, 40)),
        "deferred": st.builds(Deferred, inner, threshold=probabilities),
    }


planners = st.recursive(unwrapped, lambda inner: st.one_of(*wrapped(inner).values()), max_leaves=4)
KINDS = {**UNWRAPPED, **wrapped(planners)}
