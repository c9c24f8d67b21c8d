"""Confidence that counts less for common tokens, and less far from the block's beginning."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from dus.planners.fields import PlannerError, require
from dus.planners.ranked import Ranked
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction

LARGEST_FILE = 1 << 26
"""Bytes of a file of frequencies; what is larger is something else."""

FLOOR = 1e-9
"""Added to a frequency before its logarithm, as in the published code."""


@register("pc")
@dataclass(frozen=True)
class PC(Ranked):
    """PC-sampler: the k masked positions that say most, sure, uncommon and near the beginning of the block.

        I_t = top-k { exp(-decay k_i) min(-c_i log f(v_i), clip) : i masked },   k_i from 0

    f is the frequency of the chosen token v_i in texts. Position-aware, confidence-calibrated sampling (Huang et al.,
    arXiv 2508.13021); as in its published code positions count from the block's beginning, and a token that the texts
    lack is as frequent as one that they hold once. Without a file every token is equally frequent, f = 1 / e.

    Attributes:
        file: A JSON file that `dus calibrate --planner pc` wrote, an object with `vocab_size` and `counts` (how often
            each token, by its id, occurs). It is for models of that vocabulary.
        decay: Lambda, how fast the weight falls with the position; the paper's settings are 0, 0.25 and 0.5.
        clip: Alpha, the largest calibrated confidence.
    """

    file: str | None = None
    decay: float = 0.25
    clip: float = 10.0
    digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.decay < math.inf, f"decay is {self.decay}, a rate of decay is not negative")
        self.require(self.clip > 0, f"clip is {self.clip}, it has to be positive")
        digest = "" if self.file is None else hashlib.sha256(_read(self.file)).hexdigest()
        object.__setattr__(self, "digest", digest)
        if self.file is not None:
            _surprise(self.file, digest, "cpu")

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the weighted and calibrated confidence."""
        confidence = prediction.confidence
        offset = torch.arange(confidence.shape[1], device=confidence.device)
        if self.file is not None:
            confidence = confidence * _surprise(self.file, self.digest, str(confidence.device))[prediction.token]
        return (-self.decay * offset).exp() * confidence.clamp(max=self.clip)

    def check(self, block_length: int, vocab_size: int | None = None) -> None:
        """Refuse a model of another vocabulary."""
        if self.file is not None and vocab_size is not None:
            known = len(_surprise(self.file, self.digest, "cpu"))
            self.require(
                vocab_size == known,
                f"{self.file} counts the tokens of a vocabulary of {known}, but the model's has {vocab_size}: "
                "make one for it with dus calibrate --planner pc",
            )

    def reads(self) -> tuple[Path, ...]:
        """The file of frequencies, where there is one."""
        return () if self.file is None else (Path(self.file),)


def _read(name: str) -> bytes:
    """A file's content."""
    path = Path(name)
    require(path.is_file(), f"pc: {name} is no file; dus calibrate --planner pc writes one")
    require(path.stat().st_size <= LARGEST_FILE, f"pc: {name} is too large for a file of frequencies")
    return path.read_bytes()


@lru_cache(maxsize=16)
def _surprise(name: str, digest: str, device: str) -> Tensor:
    """Float32 `[V]`: -log f of each token in a file of this content."""
    content = _read(name)
    require(hashlib.sha256(content).hexdigest() == digest, f"pc: {name} is not what it was when the planner was made")
    try:
        record = json.loads(content)
        size, counts = record["vocab_size"], {int(token): count for token, count in record["counts"].items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        problem = f"it needs a JSON object with vocab_size and counts ({type(error).__name__})"
        raise PlannerError(f"pc: {name} is no file of frequencies: {problem}") from None
    whole = type(size) is int and all(type(count) is int and count >= 0 for count in counts.values())
    require(whole and sum(counts.values()) > 0, f"pc: {name} has to hold whole counts, not all of them 0")
    require(
        all(0 <= token < size for token in counts),
        f"pc: {name} counts tokens that a vocabulary of {size} does not have",
    )
    total = sum(counts.values())
    table = torch.full((size,), 1.0, dtype=torch.float64)
    seen = [(token, count) for token, count in counts.items() if count > 0]
    table[[token for token, _ in seen]] = torch.tensor([float(count) for _, count in seen], dtype=torch.float64)
    return -(table / total + FLOOR).log().float().to(device)
