"""What an evaluation took and how sure it is: for the log, and for lm-eval's results."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dus.evaluation.harness.arguments import logger


@dataclass
class Calls:
    """What a task's answers took, one entry an answer.

    Attributes:
        nfe: The number of denoiser calls.
        tokens: The number of tokens before the end token or stop string.
    """

    nfe: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @property
    def mean_nfe(self) -> float:
        """Denoiser calls an answer, the mean."""
        return sum(self.nfe) / len(self.nfe)

    @property
    def tpf(self) -> float:
        """Tokens over denoiser calls, of all answers together."""
        return sum(self.tokens) / max(sum(self.nfe), 1)


@dataclass
class Record:
    """What was answered and scored so far.

    Attributes:
        calls: What the answers to each task took, by its name.
        errors: The standard errors of log-likelihoods, in nats.
    """

    calls: dict[str, Calls] = field(default_factory=dict)
    errors: list[float] = field(default_factory=list)

    @classmethod
    def together(cls, records: Iterable[Record]) -> Record:
        """What several processes answered and scored."""
        whole = cls()
        for record in records:
            whole.errors += record.errors
            for task, calls in record.calls.items():
                whole.answered(task, calls.nfe, calls.tokens)
        return whole

    def answered(self, task: str, nfe: list[int], tokens: list[int]) -> None:
        """Count answers to a task."""
        calls = self.calls.setdefault(task, Calls())
        calls.nfe += nfe
        calls.tokens += tokens

    @property
    def known_errors(self) -> list[float]:
        """Those of the errors that are numbers."""
        return [error for error in self.errors if math.isfinite(error)]

    def log(self) -> None:
        """Write it to the log."""
        for task, calls in self.calls.items():
            answers = "%s: %d answers, %.1f denoiser calls each, %.2f tokens a call"
            logger.info(answers, task, len(calls.nfe), calls.mean_nfe, calls.tpf)
        if errors := self.known_errors:
            scores = "%d log-likelihoods, standard error %.3g nats on average, %.3g at most"
            logger.info(scores, len(errors), sum(errors) / len(errors), max(errors))

    def summary(self) -> dict[str, Any]:
        """The same for a file of results."""
        errors = self.known_errors
        calls = {task: {"nfe": calls.mean_nfe, "tpf": calls.tpf} for task, calls in self.calls.items()}
        return {"calls": calls, "log_likelihood_error": sum(errors) / len(errors) if errors else None}
