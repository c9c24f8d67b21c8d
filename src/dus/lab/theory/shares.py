"""What share of a token's entropy another one tells of, by their distance, for the planner `deb`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.gap import Gap, gaps
from dus.lab.theory.report.gap import fitted
from dus.lab.theory.texts import Texts
from dus.writing.files import write
from dus.writing.tables import markdown


@dataclass(frozen=True, eq=False)
class Shares:
    """What was measured of pairs at each distance from 1.

    Attributes:
        pairs: The measured pairs, by rising distance.
    """

    pairs: Sequence[Gap]

    @property
    def values(self) -> list[float]:
        """For each distance d the share D(d) / H, 0 to 1.

        D is what drawing two tokens at that distance at once loses against drawing them one by one, and H the entropy
        of one of them, both means over texts; where a denoiser's conditionals fit together, D is what one tells of the
        other. Nothing is shared where there is no entropy.
        """
        means = [(pair.divergence.mean(), pair.marginals.mean() / 2) for pair in self.pairs]
        return [float(min(lost / entropy, 1.0)) if entropy > 0 else 0.0 for lost, entropy in means]

    @property
    def words(self) -> str:
        """The table and the single rate, as Markdown."""
        return f"{self.table}\n\n{self.verdict}"

    @property
    def table(self) -> str:
        """The shares beside what a single rate would make of them."""
        curve = fitted(self.pairs).get(2)
        rows = [
            [str(distance), f"{share:.4f}", *([f"{curve[0].shape ** (distance - 1):.4f}"] if curve else [])]
            for distance, share in enumerate(self.values, start=1)
        ]
        return markdown(["distance", "share", *(["ρ^(distance - 1)"] if curve else [])], rows)

    @property
    def verdict(self) -> str:
        """The single rate, and whether it fits."""
        curve = fitted(self.pairs).get(2)
        if not curve:
            return "No single rate is fitted: fewer than three distances, or no dependence beyond noise."
        fit = curve[0]
        return (
            f"One rate for all distances: ρ = {fit.shape:.3f} (95% interval {fit.low:.3f} to {fit.high:.3f}); "
            f"exponential decay {'fits' if fit.holds else 'does not fit'} (p = {fit.p:.2f}). `deb(rho=…)` takes it, "
            "and counts a neighbour's share as 1."
        )


def shares(model: Denoiser, texts: Texts, longest: int, *, draws: int = 2, seed: int = 0) -> Shares:
    """Measure the share at every distance from 1 to `longest`, as `dus theory gap` measures pairs.

    Args:
        model: Any denoiser.
        texts: What it is used for, each with at least 2 `longest` tokens behind what is known.
        longest: The longest distance.
        draws: Orders of each pair, each with tokens of its own.
        seed: The seed of all draws.

    Raises:
        TheoryError: A distance below 1, or texts too short.
    """
    if longest < 1:
        raise TheoryError(f"the longest distance is {longest}: blocks of at least 2 positions have one")
    return Shares(gaps(model, texts, range(1, longest + 1), draws=draws, seed=seed))


def write_shares(path: Path, found: Shares, about: Mapping[str, object]) -> None:
    """Write shares to a file that the planner `deb(file=…)` reads; it appears when it is whole.

    Args:
        path: The file that is written.
        found: The shares.
        about: Where they come from, for whoever opens the file.
    """
    record = {"shares": [round(share, 6) for share in found.values], "about": dict(about)}
    write(path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
