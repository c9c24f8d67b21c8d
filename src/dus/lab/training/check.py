"""A training of a minute that says whether training works: can a small network learn something measurable?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dus.lab.training import journal
from dus.lab.training.model import Size
from dus.lab.training.run import train
from dus.lab.training.settings import TrainingError, TrainingSettings

SETTINGS = TrainingSettings(
    steps=280,
    decay=80,
    size=Size(width=128, layers=2, heads=4, mlp=512, kv_heads=4),
    warmup=30,
    tokens_per_batch=2048,
    save_every=140,
    probe_every=140,
    try_every=1000,
    tried=1,
    judged=4,
    judged_levels=(1,),
)
UNTRAINED_BOUND = 7.6  # ln 2048: all tokens equally likely


def check(folder: Path, seed: int = 0, family: str = "llada") -> tuple[bool, str]:
    """Trains `SETTINGS` in a folder, for a network of a family: whether it learned, and what was measured.

    The result is in `folder/model`, in the family's published format, and was loaded from there.

    Learned is: the held-out bound of arithmetic level 1 at most half of the untrained one, and at least 5% of bare
    equations right where guessing gives 1%.

    Raises:
        TrainingError: the family is none that loads natively.
    """
    from dus.denoisers.known import FAMILIES

    if family not in ("dream", *FAMILIES):
        raise TrainingError(f"no family {family!r}: the families are {', '.join(FAMILIES)}")
    size = replace(SETTINGS.size, family="dream" if family == "Dream" else family)
    train(folder, replace(SETTINGS, seed=seed, size=size))
    found = [entry for entry in journal.entries(folder) if "equations" in entry][-1]
    bound, right = found["bound_arithmetic_1"], found["equations"]
    learned = bound <= UNTRAINED_BOUND / 2 and right >= 0.05
    report = f"held-out bound {bound:.2f} nats a token (untrained {UNTRAINED_BOUND}), equations {right:.1%} right"
    return learned, report
