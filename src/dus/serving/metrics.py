"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TOKENS = (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SECONDS_A_TOKEN = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class _Engine(Collector):
    """What the engine thread knows, read when somebody asks."""

    def __init__(self, waiting: Callable[[], int], inside: Callable[[], int], calls: Callable[[], int] | None) -> None:
        self.waiting, self.inside, self.calls = waiting, inside, calls

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("dus_rows_waiting", "Rows that wait for a place.", self.waiting())
        yield GaugeMetricFamily("dus_rows_decoding", "Rows in the engine.", self.inside())
        if self.calls is not None:
            yield CounterMetricFamily("dus_denoiser_calls", "Denoiser calls.", self.calls())


class Metrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dus_requests", "Requests, by what came of them.", ["path", "outcome"], registry=self.registry
        )
        self.tokens = Counter("dus_tokens", "Tokens written.", registry=self.registry)
        histograms = (
            ("dus_tokens_per_call", "Tokens that a row's denoiser calls wrote, a call.", _TOKENS),
            ("dus_first_block_seconds", "From a row's arrival to its first finished block.", _SECONDS),
            ("dus_token_seconds", "From a row's arrival to its end, a token.", _SECONDS_A_TOKEN),
        )
        self.per_call, self.first_block, self.per_token = (
            Histogram(name, text, buckets=buckets, registry=self.registry) for name, text, buckets in histograms
        )

    def watch(
        self, waiting: Callable[[], int], inside: Callable[[], int], calls: Callable[[], int] | None = None
    ) -> None:
        """Tell what these functions say, beside what is counted; None where nobody here knows."""
        self.registry.register(_Engine(waiting, inside, calls))

    def row(self, tokens: int, calls: int, first_block: float, seconds: float) -> None:
        """Count a finished row: the tokens written, its denoiser calls, and the seconds to its first block and end."""
        self.tokens.inc(tokens)
        self.per_call.observe(tokens / max(calls, 1))
        self.first_block.observe(first_block)
        self.per_token.observe(seconds / max(tokens, 1))

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)
