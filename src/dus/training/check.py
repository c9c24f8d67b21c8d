"""A training of two minutes that says whether training works: can a small network learn something measurable?"""

from __future__ import annotations

from pathlib import Path

from dus.training import card
from dus.training.model import Size
from dus.training.run import Settings, train

SETTINGS = Settings(
    steps=200,
    decay=50,
    size=Size(width=128, layers=3, heads=4, mlp=512),
    warmup=30,
    tokens_per_batch=4096,
    save_every=100,
    probe_every=100,
    try_every=200,
    tried=8,
    judged=8,
)
UNTRAINED_BOUND = 6.9  # ln 1024: all tokens equally likely


def check(folder: Path, seed: int = 0) -> tuple[bool, str]:
    """Trains `SETTINGS` in a folder: whether it learned, and a sentence with what was measured.

    Learned is: the held-out bound of level 1 at most half of the untrained one, and at least 5% of bare equations
    right where guessing gives 1%.
    """
    from dataclasses import replace

    train(folder, replace(SETTINGS, seed=seed))
    found = [entry for entry in card.entries(folder) if "equations" in entry][-1]
    bound, right = found["bound_level_1"], found["equations"]
    learned = bound <= UNTRAINED_BOUND / 2 and right >= 0.05
    report = f"held-out bound {bound:.2f} nats a token (untrained {UNTRAINED_BOUND}), equations {right:.1%} right"
    return learned, report
