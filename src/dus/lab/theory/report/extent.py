"""How much the report looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """The sizes of all studies.

    Attributes:
        command: What to type for this report.
        rates: Mixing rates of the figures over ρ.
        short: A block length that is cheap, a power of two.
        draws: Sources a rate, for short blocks.
        length: The block length of the longer blocks, a power of two.
        long_rates: The mixing rates that longer blocks are looked at.
        long_draws: The number of sources a rate, for longer blocks.
        samples: Sequences behind a sampled divergence.
        text: How many tokens the study of block lengths generates.
        search_length: The block length that local search goes through.
        search_rounds: The rounds of local search, from each of two starts.
        adaptive_draws: Sources of the adaptive study, whose blocks are short.
        texts: The number of texts behind what is measured as on a trained denoiser.
        known: How many tokens before a block the longest context has.
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
