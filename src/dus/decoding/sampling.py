"""From logits to tokens and to the scores that planners read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from dus.decoding.caches import send
from dus.decoding.settings import GenerationError
from dus.planners.counter import uniform

NEVER = -1e30
"""The logit of what is never chosen: finite, so that its zero probability times it is zero, not NaN."""

COLDEST = 1e-30
"""Temperatures below are this one, which is greedy but for ties: float32 would make zero of some of them."""


class Sampler:
    """Chooses a token for each position, greedily or at a temperature.

    Draws depend on the seed, the row, the position and the step alone. Probabilities that planners and traces see
    are those of the untempered distribution, suppressed tokens excluded.

    Args:
        temperature: The sampling temperature; 0 takes the likeliest token.
        top_p: Sample from the likeliest tokens that together have this probability; None samples from all.
        top_k: Sample from this many of the likeliest tokens; None samples from all.
        suppress: Ids of tokens that are never chosen, the mask token among them.
        defer: Ids of tokens that may be chosen but count as wholly uncertain: confidence and margin are 0, the entropy
            is log2 V bits.
        device: The device of the logits.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_p: float | None,
        top_k: int | None,
        suppress: list[int],
        defer: list[int],
        device: torch.device | str,
    ) -> None:
        device = torch.device(device)
        self.temperature = temperature and max(temperature, COLDEST)
        self.top_p, self.top_k = top_p, top_k
        self.suppress = send(torch.tensor(suppress, dtype=torch.long), device)
        self.defer: Tensor | None = None
        if defer:  # bool, by token; the last one stands for all larger ones
            table = torch.zeros(max(defer) + 2, dtype=torch.bool)
            table[defer] = True
            self.defer = send(table, device)

    def __call__(self, logits: Tensor, *, seed: Tensor, row: Tensor, position: Tensor, step: Tensor) -> Choice:
        """The choice for logits `[T, V]`, one for each position that is read.

        Args:
            logits: The logits, of any floating-point type.
            seed: Int64 `[T]`: the seed of the row that the position belongs to.
            row: Int64 `[T]`: the index of that row in the user's list.
            position: Int64 `[T]`: the position, counted from the row's first masked one.
            step: Int64 `[T]`: the number of steps that the row has taken so far.
        """
        logits = logits.to(torch.float32, copy=True).index_fill_(-1, self.suppress, NEVER)
        peak, token = logits.max(dim=-1)
        if self.temperature > 0:
            draw = uniform(seed, row, position, step)
            token = self._drawn((logits - peak[..., None]) / self.temperature, draw)
        deferred = None if self.defer is None else self.defer[token.clamp(max=len(self.defer) - 1)]
        return Choice(logits, peak, token, deferred)

    def _drawn(self, logits: Tensor, draw: Tensor) -> Tensor:
        """Int64 `[T]`: tokens by inverting the distribution function at the draws."""
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            above, equal = logits > least, logits == least  # of equal ones the lower tokens, on every device
            kept = above | (equal & (equal.cumsum(dim=-1) <= self.top_k - above.sum(dim=-1, keepdim=True)))
            logits = logits.masked_fill(~kept, -torch.inf)
        probability = logits.softmax(dim=-1)
        if self.top_p is not None and self.top_p < 1:
            ordered, index = probability.sort(dim=-1, descending=True, stable=True)
            above = _summed(ordered) - ordered
            outside = torch.empty_like(above).scatter_(-1, index, above) >= self.top_p
            probability = probability.masked_fill(outside, 0)
        cumulative = _summed(probability)
        target = draw[..., None] * cumulative[..., -1:]
        token = torch.searchsorted(cumulative, target, right=True)[..., 0]
        # Rounding may put the target on the total itself; the last token with any probability is meant then.
        last = (cumulative < cumulative[..., -1:]).sum(dim=-1)
        return token.minimum(last)


def _summed(values: Tensor) -> Tensor:
    """Float32 `[T, V]`: sums over the tokens up to each, in float64 as on a CPU; an Apple GPU has none."""
    if values.device.type in ("cpu", "mps"):
        return values.cumsum(dim=-1)
    return values.cumsum(dim=-1, dtype=torch.float64).float()


class Choice:
    """Tokens chosen from logits, and their scores, each computed when it is first read.

    Args:
        logits: Float `[T, V]`: the logits; those of suppressed tokens are at `NEVER`.
        peak: Float `[T]`: the largest logit of each position.
        token: Int64 `[T]`: the token that was chosen.
        deferred: Bool `[T]`: the choices that count as wholly uncertain; None if there are none.
    """

    def __init__(self, logits: Tensor, peak: Tensor, token: Tensor, deferred: Tensor | None) -> None:
        self.token, self.peak = token, peak
        self._logits, self._deferred = logits, deferred

    @cached_property
    def _probability(self) -> Tensor:
        return self._logits.softmax(dim=-1)

    @cached_property
    def confidence(self) -> Tensor:
        """Float `[T]`: the probability of the chosen token."""
        return self._undeferred(self.probability_of(self.token), 0.0)

    @cached_property
    def entropy(self) -> Tensor:
        """Float `[T]`: in bits; a peak that counts as zero keeps small values exact."""
        below = (self._logits - self.peak[..., None]).clamp_(min=NEVER)  # minus infinity times zero is NaN
        nats = -self._probability.amax(dim=-1).log() - torch.linalg.vecdot(self._probability, below)
        return self._undeferred(nats.clamp(min=0) / math.log(2), math.log2(self._logits.shape[-1]))

    @cached_property
    def margin(self) -> Tensor:
        """Float `[T]`: the likeliest token's probability less the second likeliest's."""
        top = self._probability.topk(2, dim=-1).values
        return self._undeferred(top[..., 0] - top[..., 1], 0.0)

    def probability_of(self, token: Tensor) -> Tensor:
        """Float `[T]`: the probability of given tokens, int64 `[T]`."""
        return self._probability.gather(-1, token[..., None])[..., 0]

    @cached_property
    def log_probability(self) -> Tensor:
        """Float `[T, V]`: natural logarithms, of suppressed tokens a large negative number."""
        return self._logits.log_softmax(dim=-1)

    def _undeferred(self, score: Tensor, value: float) -> Tensor:
        return score if self._deferred is None else score.masked_fill(self._deferred, value)


def divergence(now: Tensor, before: Tensor) -> Tensor:
    """Float `[T]`: KL(now ‖ before) in nats of log-probabilities `[T, V]`; infinite where `before` is NaN."""
    return torch.linalg.vecdot(now.exp(), now - before).clamp(min=0).nan_to_num(nan=torch.inf)


class Past:
    """The distributions of the rows' step before, for a planner that compares: nothing where there was none.

    Attributes:
        logs: Float `[N, B, V]`: natural logarithms, NaN where nothing is kept; None before the first step.
    """

    def __init__(self) -> None:
        self.logs: Tensor | None = None

    def clear(self) -> None:
        """Forget everything."""
        self.logs = None

    def forget(self, at: Tensor) -> None:
        """Forget rows, int64 on the host."""
        if self.logs is not None:
            self.logs.index_fill_(0, send(at, self.logs.device), torch.nan)

    def keep(self, at: Tensor) -> None:
        """Go on with some rows, int64 on the host."""
        if self.logs is not None:
            self.logs = self.logs[send(at, self.logs.device)]

    def grow(self, count: int, width: int) -> None:
        """Make room for more rows and longer blocks."""
        if self.logs is not None:
            more = (width - self.logs.shape[1], count - self.logs.shape[0])
            self.logs = pad(self.logs, (0, 0, 0, more[0], 0, more[1]), value=torch.nan)

    def divergence(self, choice: Choice, rows: np.ndarray, offsets: np.ndarray) -> Tensor:
        """Float `[T]`: KL in nats from each distribution of the step before to that of now; inf where none was."""
        now = choice.log_probability
        if self.logs is None:
            return torch.full_like(now[:, 0], torch.inf)
        row, offset = send(torch.from_numpy(np.stack([rows, offsets])), now.device).unbind(0)
        return divergence(now, self.logs[row, offset])

    def remember(self, choice: Choice, rows: np.ndarray, offsets: np.ndarray, shape: Sequence[int]) -> None:
        """Keep this step's distributions, and no others, of blocks `[N, B]`."""
        now = choice.log_probability
        self.logs = now.new_full((*shape, now.shape[-1]), torch.nan)
        row, offset = send(torch.from_numpy(np.stack([rows, offsets])), now.device).unbind(0)
        self.logs[row, offset] = now


@dataclass(frozen=True)
class Peaks:
    """The largest logits of one group's share of a call, to be looked at once a block and not after each step.

    Attributes:
        peak: Float `[T]`, on the device: NaN or infinite if any logit is, and `NEVER` if no token is allowed.
        rows: Int64 `[T]`, on the host: the row of each, as an index of `where`.
        where: For each row the engine's number of it, its index in the user's list, the block's first and last
            position, and its steps before this one.
    """

    peak: Tensor
    rows: np.ndarray
    where: list[tuple[int, int, int, int, int]]


def look(steps: list[Peaks], tokens: Tensor) -> tuple[Tensor, dict[int, GenerationError]]:
    """Tokens, int64 `[N, W]`, on the host, and what is wrong with several steps, seen in one transfer.

    Returns:
        The tokens, and for each row, by its number, that met NaN, or no finite logit, what to say.
    """
    sound = [(step.peak.abs() < -NEVER).long() for step in steps]
    seen, *parts = torch.cat([tokens.flatten(), *sound]).cpu().split([tokens.numel(), *map(len, sound)])
    found: dict[int, GenerationError] = {}
    for step, part in zip(steps, parts, strict=True):
        for row in np.unique(step.rows[part.numpy() == 0]).tolist():
            number, draw, first, last, taken = step.where[row]
            problem = (
                f"the denoiser gave NaN or no finite logit for row {draw}, in the block of positions {first} to "
                f"{last}, at the row's step {taken}: its weights, its dtype or a state that it keeps are broken"
            )
            found.setdefault(number, GenerationError(problem))
    return seen.view(tokens.shape), found
