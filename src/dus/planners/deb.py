"""The entropy bound, discounted by distance: tokens that are far apart tell little of each other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from dus.planners.base import Planner
from dus.planners.fields import MAIN, PlannerError, require
from dus.planners.ranking import rank
from dus.planners.registry import register
from dus.planners.state import BlockState, Prediction

LARGEST_FILE = 1 << 20
"""Bytes of a file of shares; what is larger is something else."""

RHO = 0.7


@register("deb")
@dataclass(frozen=True)
class DiscountedEntropyBounded(Planner):
    """DEB, the discounted entropy bound: by rising entropy, while its sum, discounted by distance, is bounded.

        A = {};  for i by rising entropy:  A <- A ∪ {i}  if A is empty or  Σ_{j in A} H_j rho^(d_j - 1) <= gamma
        d_j = the least distance from j to a position of A ∪ {i} that was taken after j

    By the chain rule the total correlation of A is the sum, over its positions but the most uncertain one, of the
    information that each shares with those more uncertain than itself. That is at most the position's entropy, which
    gives EB's bound (arXiv 2505.24857) and is rho = 1. Where dependence falls by a factor rho with each position, as it
    does on fast-mixing sources (arXiv 2506.19037), it is taken as the entropy times rho^(d - 1), at distance d from the
    nearest of them. A position that does not fit is passed over, and a farther one may still be taken. With a file, the
    factor at each distance is the file's share. Then j counts by the largest factor over all that was taken after it,
    since a share need not fall with distance.

    Only positions that the factor rule (arXiv 2505.22618) lets through are considered, unless it lets none through. By
    falling confidence c_(1), c_(2), … it lets the first n through, for the largest n with

        (n + 1) (1 - c_(n)) < f

    Uncertain tokens are a risk to greedy answers, because the next step would often have settled them. With f = 1 the
    factor rule takes only tokens that greedy sequential decoding would have chosen, too, whatever the joint
    distribution.

    Attributes:
        gamma: The bound in bits; 0 takes what is certain and one position more.
        rho: What remains of a dependence one position further on, 0 to 1.
        f: The factor; 0 looks at all positions.
        file: A JSON file that `dus calibrate --planner deb` wrote, an object with `shares`: for each distance from 1
            the share of a token's entropy that another at that distance tells of. Distances beyond count as the last.
    """

    gamma: float = field(default=0.5, metadata=MAIN)
    rho: float = RHO
    f: float = 1.0
    file: str | None = None
    shares: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gamma >= 0, f"gamma is {self.gamma}, a bound in bits is not negative")
        self.require(0 <= self.rho <= 1, f"rho is {self.rho}, it lies between 0 and 1")
        self.require(self.f >= 0, f"f is {self.f}, a factor is not negative")
        self.require(
            self.file is None or self.rho == RHO,
            f"{self.file} has a share for each distance, so rho={self.rho} has no effect: leave one of them out",
        )
        object.__setattr__(self, "shares", () if self.file is None else _read(self.file))

    def score(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Float `[N, B]`: the negative entropy."""
        return -prediction.entropy

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: the positions under the bound."""
        among = block.masked
        if self.f > 0:
            confidence = prediction.confidence
            sure = among & ((rank(confidence, among) + 2) * (1 - confidence) < self.f)
            among = sure | (among & ~sure.any(dim=1, keepdim=True))
        factors = self.factors(among.shape[1], str(among.device))
        return _bounded(prediction.entropy, among, self.gamma, factors)

    def factors(self, width: int, device: str) -> Tensor:
        """Float `[B]`: what an entropy counts by its distance to another position; 0 at distance 0, its own."""
        shares = self.shares or tuple(self.rho**distance for distance in range(width))
        return _factors(shares, width, device)

    def reads(self) -> tuple[Path, ...]:
        """The file of shares, where there is one."""
        return () if self.file is None else (Path(self.file),)


@lru_cache(maxsize=256)
def _factors(shares: tuple[float, ...], width: int, device: str) -> Tensor:
    """Float `[B]`: 0, then the shares, of which the last goes on."""
    return torch.tensor([0.0, *shares, *shares[-1:] * width][:width], device=device)


def _bounded(entropy: Tensor, among: Tensor, gamma: float, factors: Tensor) -> Tensor:
    """Bool `[N, B]`: the greedy choice from `among` by rising entropy, place by place, all rows at once.

    Only on the host, where it costs nothing, the loop asks whether any row has a candidate at the place.
    """
    width = entropy.shape[1]
    position = torch.arange(width, device=entropy.device)
    order = torch.empty_like(among, dtype=torch.long)
    order = order.scatter_(1, rank(-entropy, among), position.expand_as(order))
    taken = torch.zeros_like(among)
    share = torch.zeros_like(entropy)  # of each taken position's entropy, by what was taken after it
    on_host = entropy.device.type == "cpu"
    for place in range(width):
        at = order[:, place : place + 1]
        candidate = among.gather(1, at)
        if on_host and not candidate.any():
            break
        more = share.maximum(factors[(position - at).abs()])
        cost = (entropy * more).masked_fill(~taken, 0).sum(dim=1, keepdim=True)
        take = candidate & (cost <= gamma) if place else candidate
        here = position == at
        share = more.masked_fill(here, 0).where(take, share)
        taken = taken | (here & take)
    return taken


def _read(name: str) -> tuple[float, ...]:
    """The shares in a file."""
    path, source = Path(name), f"deb: {name}"
    require(path.is_file(), f"{source} is no file; dus calibrate --planner deb writes one")
    require(path.stat().st_size <= LARGEST_FILE, f"{source} is too large for a file of shares")
    try:
        shares = json.loads(path.read_text(encoding="utf-8"))["shares"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        problem = f"it needs a JSON object with shares ({type(error).__name__})"
        raise PlannerError(f"{source} is no file of shares: {problem}") from None
    numbers = isinstance(shares, list) and shares and all(type(share) in (int, float) for share in shares)
    require(bool(numbers), f"{source} has to hold a share for each distance from 1, a list of numbers")
    require(all(0 <= share <= 1 for share in shares), f"{source} holds a share that is not between 0 and 1")
    return tuple(float(share) for share in shares)
