"""How likely a denoiser finds a text: the Monte Carlo estimate of LLaDA's evaluation, with its standard error.

A denoiser gives a bound on the likelihood (arXiv 2502.09992, eq. 6): of L tokens mask l, drawn evenly from 1 to L,
wherever they stand, and take `L / l` times the log-probability of what was masked. The mean over all masks is the mean
log-likelihood of writing the tokens one by one, over all orders, and the log-likelihood itself where the denoiser's
conditional probabilities are those of one joint law.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import comb
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dus.denoisers import Denoiser

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pair: TypeAlias = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Masked:
    """One masked canvas of a pair of context and continuation.

    Attributes:
        pair: The index of the pair.
        canvas: Int64 `[L]`: its tokens, with masks among those of the continuation.
        read: Int64 `[l]`: the masked positions.
        target: Int64 `[l]`: the tokens that were there.
        free: The number of tokens in the continuation.
        weight: The weight of the target's log-probability in the sum that estimates the log-likelihood of the pair.
    """

    pair: int
    canvas: NDArray[np.int64]
    read: NDArray[np.int64]
    target: NDArray[np.int64]
    free: int
    weight: float


@dataclass
class Batch:
    """Canvases for one denoiser call, equal ones computed once: choices that are all mask have theirs in common.

    Attributes:
        members: The canvases.
        rows: For each canvas the row of the call that it is.
        distinct: For each row one of the canvases that it is.
    """

    members: list[Masked] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    distinct: list[Masked] = field(default_factory=list)


def masks_of(length: int, samples: int, seed: list[int]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks over `length` tokens and their weights, such that the weighted sum of log-probabilities is the estimate.

    The numbers of masked tokens lie evenly between 1 and `length`, from a common random start on; LLaDA's evaluation
    spaces them likewise within a batch. Where there are no more than `samples` masks at all, these are all of them.

    Args:
        length: The number L of tokens, at least 1.
        samples: The number n of masks.
        seed: The seeds of the draws, whole numbers from 0.

    Returns:
        Bool `[n, L]`, by ascending numbers of masked tokens where they are drawn, and float64 `[n]`.
    """
    if 2**length - 1 <= samples:
        every = (np.arange(1, 2**length)[:, None] >> np.arange(length)) % 2 == 1
        counts = every.sum(axis=1)
        return every, np.array([1 / (count * comb(length, count)) for count in counts.tolist()])
    draws = np.random.default_rng(seed)
    place = (np.arange(samples) + draws.random()) / samples
    counts = 1 + np.minimum((place * length).astype(np.int64), length - 1)
    rank = draws.random((samples, length)).argsort(axis=1).argsort(axis=1)
    return rank < counts[:, None], length / (counts * samples)


def canvases(pairs: list[Pair], mask_token_id: int, samples: int, seed: int) -> Iterator[Masked]:
    """The masked canvases of all pairs, the shortest pairs first, those of a pair one after the other."""
    for index in sorted(range(len(pairs)), key=lambda at: (len(pairs[at][0]) + len(pairs[at][1]), pairs[at])):
        context, continuation = pairs[index]
        whole = np.array(context + continuation, dtype=np.int64)
        source = [seed % 2**64, len(context), *context, *continuation]
        for mask, weight in zip(*masks_of(len(continuation), samples, source), strict=True):
            read = len(context) + np.flatnonzero(mask)
            canvas = whole.copy()
            canvas[read] = mask_token_id
            yield Masked(index, canvas, read, whole[read], len(continuation), float(weight))


def batches(canvases: Iterable[Masked], size: int) -> Iterator[Batch]:
    """Batches of at most `size` distinct canvases, in their order."""
    batch, row_of = Batch(), dict[bytes, int]()
    for masked in canvases:
        key = masked.canvas.tobytes()
        if key not in row_of and len(row_of) == size:
            yield batch
            batch, row_of = Batch(), {}
        if key not in row_of:
            row_of[key] = len(row_of)
            batch.distinct.append(masked)
        batch.members.append(masked)
        batch.rows.append(row_of[key])
    if batch.members:
        yield batch


@dataclass(frozen=True)
class Estimate:
    """A log-likelihood in nats.

    Attributes:
        value: The mean over masks, in nats.
        error: The standard error of the mean. It is 0 if every possible mask was used, and NaN if there is only one
            mask or a token is impossible.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Likelihood:
    """Estimates log-likelihoods of continuations behind contexts.

    Attributes:
        model: The denoiser.
        samples: The number of masks for each continuation. A continuation of L tokens has `2^L - 1` of them; if these
            are not more, each is used once, with its share in the mean, and the estimate is exact.
        seed: The seed of the masks. Those of a pair depend on it and on the tokens of the pair only.
        cfg_scale: The scale of classifier-free guidance, as in `dus.generate`.
    """

    model: Denoiser
    samples: int = 128
    seed: int = 0
    cfg_scale: float = 0.0

    def estimates(self, pairs: list[Pair], batch_size: int) -> Iterator[tuple[int, Estimate]]:
        """Each pair's index and estimate, as they are done.

        Args:
            pairs: The contexts, which may be empty, and continuations of at least one token; neither may hold the mask.
            batch_size: The number of canvases, of similar length, in a denoiser call; under guidance each takes two
                calls.
        """
        masked = canvases(pairs, self.model.mask_token_id, self.samples, self.seed)
        for index, values in groupby(self._scored(masked, batch_size), key=lambda scored: scored[0]):
            yield index, self._estimate([value for _, value in values], len(pairs[index][1]))

    def attempt(self, pairs: list[Pair], batch_size: int) -> None:
        """One denoiser call as large as any of `estimates`, to see whether it fits in memory."""
        free = max(len(continuation) for _, continuation in pairs)
        length = max(len(context) + len(continuation) for context, continuation in pairs)
        canvas, read = np.full(length, self.model.mask_token_id), np.arange(length - free, length)
        masked = Masked(0, canvas, read, np.zeros(free, dtype=np.int64), free, 1.0)
        self._values(Batch([masked] * batch_size, list(range(batch_size)), [masked] * batch_size))

    def _scored(self, masked: Iterator[Masked], batch_size: int) -> Iterator[tuple[int, float]]:
        for batch in batches(masked, batch_size):
            yield from zip((member.pair for member in batch.members), self._values(batch), strict=True)

    def _estimate(self, values: list[float], length: int) -> Estimate:
        """The sum of what the masks gave; those that were drawn, by ascending numbers of masked tokens."""
        n, total = len(values), math.fsum(values)
        if n == 2**length - 1:
            return Estimate(total, 0.0)
        if n == 1 or not math.isfinite(total):
            return Estimate(total, math.nan)
        # The numbers of masked tokens are spaced evenly, so that their spread adds no error: neighbours have (nearly)
        # the same, and only what differs between them counts (Wolter, Introduction to Variance Estimation, ch. 8).
        between = math.fsum((one - other) ** 2 for one, other in pairwise(values))
        return Estimate(total, math.sqrt(n * between / (2 * (n - 1))))

    def _values(self, batch: Batch) -> list[float]:
        """For each member of a batch the log-probability of its target, times its weight."""
        logits = self._logits(batch.distinct)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        target = pad_sequence([torch.from_numpy(member.target) for member in batch.members], batch_first=True)
        row, column = torch.tensor(batch.rows)[:, None], torch.arange(target.shape[1])
        counts = torch.tensor([len(member.target) for member in batch.members])[:, None]
        row, column, target, real = (part.to(logits.device) for part in (row, column, target, column < counts))
        # The softmax has the mask token in it, as LLaDA's evaluation has.
        chosen = logits[row, column, target] - logits.logsumexp(dim=-1)[row, column]
        sums = chosen.masked_fill(~real, 0).cpu().double().sum(dim=1).tolist()  # some devices have no float64
        return [total * member.weight for total, member in zip(sums, batch.members, strict=True)]

    @torch.no_grad()
    def _logits(self, rows: list[Masked]) -> Tensor:
        """Float `[N, R, V]`: the logits at each row's masks, those of rows with fewer masks repeated at the end."""
        device = getattr(self.model, "device", "cpu")
        length, most = max(len(row.canvas) for row in rows), max(len(row.read) for row in rows)
        tokens = pad_sequence([torch.from_numpy(row.canvas) for row in rows], batch_first=True, padding_side="left")
        start = torch.tensor([length - len(row.canvas) for row in rows])[:, None]
        real = None if not start.any() else (torch.arange(length) >= start).to(device)
        reads = [np.pad(row.read, (0, most - len(row.read)), mode="edge") for row in rows]
        read, tokens = (torch.from_numpy(np.stack(reads)) + start).to(device), tokens.to(device)
        if self.cfg_scale == 0:
            return self.model.logits(tokens, read=read, attention_mask=real)
        context = torch.arange(length) < length - torch.tensor([row.free for row in rows])[:, None]
        blind = tokens.masked_fill(context.to(device), self.model.mask_token_id)
        seeing = self.model.logits(tokens, read=read, attention_mask=real).float()
        unseeing = self.model.logits(blind, read=read, attention_mask=real).float()
        guided = unseeing + (1 + self.cfg_scale) * (seeing - unseeing)
        return guided.masked_fill(seeing == -torch.inf, -torch.inf)
