"""How much the report looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """The sizes of all studies.

    Attributes:
        command: what to type for this report.
        rates: mixing rates of the figures over ρ.
        short: a block length that is cheap, a power of two.
        draws: sources a rate, for short blocks.
        length: of the longer block, a power of two.
        long_rates: its mixing rates.
        long_draws: its sources a rate.
        samples: sequences behind a sampled divergence.
        text: how many tokens the study of block lengths generates.
        search_length: of the block that local search goes through.
        search_rounds: of local search, from each of two starts.
        adaptive_draws: sources of the adaptive study, whose blocks are short.
        texts: behind what is measured as on a trained denoiser.
        known: how many tokens before a block the longest context has.
    """

    command: str
    rates: tuple[float, ...]
    short: int
    draws: int
    length: int
    long_rates: tuple[float, ...]
    long_draws: int
    samples: int
    text: int
    search_length: int
    search_rounds: int
    adaptive_draws: int
    texts: int
    known: int


FULL = Extent(
    command="dus theory report",
    rates=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
    short=8,
    draws=20,
    length=16,
    long_rates=(0.3, 0.5, 0.7, 0.9, 0.99),
    long_draws=1,
    samples=1000,
    text=64,
    search_length=32,
    search_rounds=150,
    adaptive_draws=5,
    texts=64,
    known=256,
)
QUICK = Extent(
    command="dus theory report --quick",
    rates=(0.3, 0.9),
    short=4,
    draws=2,
    length=8,
    long_rates=(0.5, 0.9),
    long_draws=1,
    samples=100,
    text=8,
    search_length=8,
    search_rounds=20,
    adaptive_draws=1,
    texts=8,
    known=16,
)
