"""What a planner that looks at predictions loses: KL(truth ‖ sampled), by enumeration or by sampling.

Which positions such a planner unmasks depends on the tokens, so the conditional total correlations of its steps do
not add up to the divergence; the sampled law itself has to be found. A planner that reads the confidence of the
tokens drawn moreover prefers likely draws, and so samples another law than the truth even at one token a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dus.decoding.planning import decide, settle
from dus.decoding.sampling import Sampler
from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.entropies import entropy_of
from dus.lab.theory.schedules import divergence, schedule_of
from dus.lab.theory.sources import Source
from dus.planners import BlockState, Planner, PlannerError, Prediction, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rule_of(planner: str | Planner) -> Planner:
    """The planner of a text.

    Raises:
        TheoryError: A planner that takes tokens back or overwrites them.
    """
    rule = parse(planner) if isinstance(planner, str) else planner
    if rule.revises or rule.edits:
        raise TheoryError(f"{rule} changes tokens that it wrote; only planners that never do have a divergence here")
    return rule


@dataclass(frozen=True)
class Situation:
    """Rows of one block on their way.

    Attributes:
        planner: The rule.
        canvas: Int64 `[N, B]`, V where masked.
        block: What the planner sees, at the level that is due.
        wanted: Bool `[N, B]`.
        logits: Float32 `[N, B, V + 1]`, as the decoding loop would have them.
        probability: Float64 `[N, B, V]`.
        likeliest: Whether the planner reads the confidence of the likeliest token, not of the one drawn.
    """

    planner: Planner
    canvas: Tensor
    block: BlockState
    wanted: Tensor
    logits: Tensor
    probability: Tensor
    likeliest: bool

    @classmethod
    def of(
        cls, planner: Planner, denoiser: Denoiser, canvas: Tensor, step: Tensor, likeliest: bool = False
    ) -> Situation:
        """The situation of canvases `[N, B]` at steps int64 `[N]`; random planners see row 0.

        The denoiser's mask is its last id, and its logits are log-probabilities.
        """
        masked = canvas == denoiser.mask_token_id
        start = BlockState.begin(torch.ones_like(masked), row=torch.zeros(len(canvas), dtype=torch.long))
        block, due = settle(planner, start.after(~masked).at(step))
        logits = denoiser.logits(canvas, read=torch.arange(canvas.shape[1]))
        return cls(planner, canvas, block, due.wanted, logits.float(), logits[..., :-1].exp(), likeliest)

    def __getitem__(self, rows: Tensor) -> Situation:
        """Some rows, int64 indices, repeated ones included."""
        return Situation(
            self.planner,
            self.canvas[rows],
            self.block[rows],
            self.wanted[rows],
            self.logits[rows],
            self.probability[rows],
            self.likeliest,
        )

    @property
    def open(self) -> Tensor:
        """Bool `[N, B]`: the positions that this step may unmask."""
        return self.wanted & self.block.masked

    def blind_selection(self) -> Tensor | None:
        """Bool `[N, B]`: what is unmasked whatever tokens are drawn; None where the planner asks which they are."""
        if self.likeliest:
            return self.selection(self.probability.argmax(dim=-1))
        try:
            selected = self.planner.select(self.block, self._prediction(None)) & self.open
        except PlannerError:
            return None
        return selected if bool(selected.any(dim=1).all()) else None

    def selection(self, token: Tensor) -> Tensor:
        """Bool `[N, B]`: what is unmasked where these tokens, int64 `[N, B]`, were drawn."""
        return decide(self.planner, self.block, self.wanted, self._prediction(token)).selected

    def _prediction(self, token: Tensor | None) -> Prediction:
        """What the planner may read; without tokens it may not read their confidence."""
        vocab = self.probability.shape[-1]
        sampler = Sampler(temperature=0, top_p=None, top_k=None, suppress=[vocab], defer=[], device="cpu")
        at = self.block.step
        choice = sampler(self.logits, seed=at, row=at, position=at, step=at)  # greedy: nothing is drawn
        scores = {
            "entropy": lambda: choice.entropy.masked_fill(~self.wanted, 0),
            "margin": lambda: choice.margin.masked_fill(~self.wanted, 0),
        }
        if token is not None:
            scores["confidence"] = lambda: choice.probability_of(token).masked_fill(~self.wanted, 0)
        return Prediction(**scores)


LARGEST_ENUMERATION = 2e7
"""Outcomes of draws, over all states of a block, that an enumeration may go through."""

_CHUNK = 1 << 17


@dataclass(frozen=True)
class Estimate:
    """A divergence in nats.

    Attributes:
        nats: KL(truth ‖ sampled).
        error: The standard error in nats; 0 where the divergence is exact.
        calls: Denoiser calls that a block takes on average: over what is sampled where the divergence is exact, over
            sequences of the source where it is sampled.
    """

    nats: float
    error: float
    calls: float


def planner_divergence(
    source: Source,
    planner: str | Planner,
    length: int,
    likeliest: bool = False,
    samples: int | None = None,
    seed: int = 0,
) -> Estimate:
    """KL(truth ‖ sampled) in nats of a planner at temperature 1, in one block.

    Args:
        source: The source of the tokens, which is also their denoiser.
        planner: Any that takes nothing back, or its text; a random one acts as for row 0.
        length: B.
        likeliest: Whether the planner reads the confidence of the likeliest token instead of the one that is drawn,
            as the decoding loop has it. It then prefers no draws, and what it loses is due to parallel steps alone.
        samples: None is exact (a schedule by its entropies, others by enumeration); a number draws so many
            sequences from the source and averages `log p(x) - log q(x)`.
        seed: The seed of the draws.

    Raises:
        TheoryError: A planner that takes tokens back, too much to enumerate, or a planner that reads draws, sampled.
    """
    rule = rule_of(planner)
    if samples is not None:
        from dus.lab.theory.sampling import sampled_divergence

        return sampled_divergence(source, rule, length, likeliest, samples, seed)
    if rule.scheduled:
        groups = schedule_of(rule, length)
        return Estimate(divergence(groups, entropy_of(source)), 0.0, len(groups))
    sampled, calls = sampled_law(source, rule, length, likeliest)
    truth = true_law(source, length)
    seen = truth > 0
    return Estimate(float((truth[seen] * np.log(truth[seen] / sampled[seen])).sum()), 0.0, calls)


def true_law(source: Source, length: int) -> NDArray[np.float64]:
    """Float64 `[V^B]`: the probability of every sequence, counted in base V with the first position first."""
    ahead = source.initial[None]
    for place in range(length):
        ahead = ahead if place == 0 else ahead @ source.transition
        ahead = (ahead[:, None, :] * source.emission.T).reshape(-1, source.states)
    return ahead.sum(axis=1)


def sampled_law(
    source: Source, planner: str | Planner, length: int, likeliest: bool = False
) -> tuple[NDArray[np.float64], float]:
    """The law of what a planner samples at temperature 1, by walking the tree of all outcomes.

    Args:
        source: The source of the tokens, of which there are V.
        planner: Any that takes nothing back, or its text; a random one acts as for row 0.
        length: B, decoded as one block.
        likeliest: The same as for `planner_divergence`.

    Returns:
        Float64 `[V^B]`, counted as in `true_law`, and the average number of calls.

    Raises:
        TheoryError: A planner that takes tokens back, or too many outcomes.
    """
    rule, denoiser, base = rule_of(planner), MarkovDenoiser(source), source.vocab + 1
    canvas, weight = torch.full((1, length), source.vocab), torch.ones(1, dtype=torch.float64)
    step = torch.zeros(1, dtype=torch.long)
    first = Situation.of(rule, denoiser, canvas, step, likeliest)
    _require_enumerable(source, length, first.blind_selection() is None)
    powers = base ** torch.arange(length - 1, -1, -1)
    law, calls, call = torch.zeros(base**length, dtype=torch.float64), 0.0, 0
    while len(canvas):
        call += 1
        size = max(1, _CHUNK // source.vocab ** int((canvas == source.vocab).sum(dim=1).max()))
        parts = [
            _expand(Situation.of(rule, denoiser, canvas[rows], step[rows], likeliest), weight[rows], powers)
            for rows in torch.arange(len(canvas)).split(size)
        ]
        key, weight, step = _merged(*(torch.cat(column) for column in zip(*parts, strict=True)))
        canvas = key[:, None] // powers % base
        done = (canvas < source.vocab).all(dim=1)
        calls += call * float(weight[done].sum())
        law.index_add_(0, key[done], weight[done])
        canvas, weight, step = canvas[~done], weight[~done], step[~done]
    return law.view((base,) * length)[(slice(0, source.vocab),) * length].reshape(-1).numpy(), calls


def _expand(now: Situation, weight: Tensor, powers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One call: the keys of the canvases that it may lead to, their weights and their steps."""
    vocab = now.probability.shape[-1]
    blind = now.blind_selection()
    chosen = now.open if blind is None else blind
    found = []
    for count in chosen.sum(dim=1).unique().tolist():
        rows = (chosen.sum(dim=1) == count).nonzero()[:, 0]
        outcomes = torch.tensor(list(product(range(vocab), repeat=count)))
        here = now[rows.repeat_interleave(len(outcomes))]
        places = chosen[rows].nonzero()[:, 1].view(-1, count).repeat_interleave(len(outcomes), dim=0)
        token = outcomes.repeat(len(rows), 1)
        drawn = here.canvas.scatter(1, places, token)
        if blind is None:
            drawn = drawn.where(here.selection(drawn), here.canvas)
        share = here.probability.gather(1, places[..., None].expand(-1, -1, vocab)).gather(2, token[..., None])
        mass = weight[rows].repeat_interleave(len(outcomes)) * share[..., 0].prod(dim=1)
        found.append(_merged((drawn * powers).sum(dim=1), mass, here.block.step + 1))
    key, mass, step = (torch.cat(column) for column in zip(*found, strict=True))
    return key, mass, step


def _merged(key: Tensor, weight: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Equal canvases at equal steps as one, those of weight zero left out."""
    kept = weight > 0
    span = int(step.max()) + 1
    pairs, place = (key[kept] * span + step[kept]).unique(return_inverse=True)
    total = torch.zeros(len(pairs), dtype=torch.float64).index_add_(0, place, weight[kept])
    return pairs // span, total, pairs % span


def _require_enumerable(source: Source, length: int, draws: bool) -> None:
    """Refuse a tree too large: each position is masked with V draws, or holds one of V tokens."""
    width = 2 * source.vocab if draws else source.vocab + 1
    feasible = int(np.log(LARGEST_ENUMERATION) / np.log(width))
    if length > feasible:
        raise TheoryError(
            f"the outcomes of {length} positions with {source.vocab} tokens are too many to enumerate: up to "
            f"{feasible} positions are feasible; sampling estimates the divergence of longer blocks"
        )
