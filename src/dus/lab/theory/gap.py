"""What a trained denoiser says of groups of tokens: the sum of their marginal entropies against their joint entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dus.denoisers import Denoiser
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.entropies import entropy_of
from dus.lab.theory.sources import Source
from dus.lab.theory.texts import Blocks, Texts, entropies


@dataclass(frozen=True)
class Mean:
    """A mean over texts, in nats.

    Attributes:
        nats: The mean.
        error: The standard error of the mean; texts are independent, and what is measured on the same text is averaged
            first.
    """

    nats: float
    error: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Mean:
        """The mean of one value a text, `[M]`."""
        return cls(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))

    def __str__(self) -> str:
        return f"{self.nats:.4f} ± {self.error:.4f}"


@dataclass(frozen=True, eq=False)
class Gap:
    """A group of k positions at one spacing, unmasked together; arrays hold one value for each of M texts, in nats.

    Attributes:
        spacing: S, between neighbours of the group.
        size: K.
        marginals: `Σ_i H(X_i | c)`, the group's entropies where none of it is known.
        joint: `H(X_G | c)`, by the chain rule.
        divergence: The divergence of drawing the group at once from drawing it one by one.
    """

    spacing: int
    size: int
    marginals: NDArray[np.float64]
    joint: NDArray[np.float64]
    divergence: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """The conditional total correlation `Σ_i H(X_i | c) - H(X_G | c)`, by text; noise may take it below zero."""
        return self.marginals - self.joint


def gaps(
    model: Denoiser,
    texts: Texts,
    spacings: Sequence[int],
    sizes: Sequence[int] = (2,),
    *,
    draws: int = 2,
    seed: int = 0,
    context: int | None = None,
    most_context: int = 0,
) -> list[Gap]:
    """Estimate the conditional total correlation of dilated groups under a denoiser's own conditionals.

    A group is `G = {o, o + s, …, o + (k - 1) s}`; c is all of a text before the block that it lies in; the block, and
    all behind it, is masked. With σ an order of G and x drawn from the denoiser, one token after the other,

        H(X_G | c)  =  E_σ E_x Σ_j H( p(X_σ(j) | c, x_σ(1), …, x_σ(j-1)) )
        TC(G | c)   =  Σ_i H( p(X_i | c) )  -  H(X_G | c)
        D(G | c)    =  E_σ E_x Σ_j KL( p(X_σ(j) | c, x_σ(1), …, x_σ(j-1))  ‖  p(X_σ(j) | c) )

    The entropy of each conditional stands for the mean of -log p over its draws (Rao and Blackwell): only what is
    conditioned on is drawn. D is the divergence of what parallel sampling draws from what the same denoiser draws one
    by one, on average over orders, and never negative. Where the conditionals fit together, as an exact denoiser's do,
    TC = D; D then has much less variance where dependence is weak, as an entropy changes in the first order
    with a distribution, and a divergence in the second. Where the two differ, the denoiser contradicts itself: on
    average over what it would draw at one position, its conditionals of another are not its marginal.

    The place of the block in each text, and o from 0 to the widest spacing less 1, are random, the same for all
    groups; so groups differ in nothing but their spacing and their size.

    Args:
        model: Any denoiser.
        texts: What its contexts are made of.
        spacings: The s to look at.
        sizes: The k to look at, each at least 2.
        draws: Orders, each with tokens of its own, for each text and group.
        seed: The seed of all draws.
        context, most_context: The same as for `Texts.blocks`.

    Raises:
        TheoryError: A spacing below 1, a size below 2, or texts too short for the widest group.
    """
    if min(spacings, default=0) < 1 or min(sizes, default=0) < 2 or draws < 1:
        raise TheoryError("a gap needs spacings from 1, groups of at least 2 positions and at least one draw")
    reach = max(spacings) * max(sizes)
    blocks = texts.blocks(model, reach, context=context, most_context=most_context, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randint(max(spacings), (len(blocks), 1), generator=generator)
    return [
        _gap(blocks, offset + spacing * torch.arange(size), spacing, draws, generator)
        for size in sizes
        for spacing in spacings
    ]


def _gap(blocks: Blocks, places: Tensor, spacing: int, draws: int, generator: torch.Generator) -> Gap:
    """The estimate for groups at `places`, int64 `[M, k]`, offsets in the blocks."""
    places = places.to(blocks.truth.device)
    alone = blocks.log_probabilities(blocks.masked(), places)
    marginal = entropies(alone)
    joint, divergence = torch.zeros(2, len(blocks), dtype=torch.float64)
    for _ in range(draws):
        order = torch.rand(places.shape, generator=generator).argsort(dim=1).to(places.device)
        entropy, contrast = _chain(blocks, places.gather(1, order), alone, order, generator)
        joint, divergence = joint + entropy / draws, divergence + contrast / draws
    total = marginal.cpu().double().sum(dim=1)
    return Gap(spacing, places.shape[1], total.numpy(), joint.numpy(), divergence.numpy())


def _chain(
    blocks: Blocks, places: Tensor, alone: Tensor, order: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the group in one order; float64 `[M]` twice, on the host: its entropy and its divergence, by the chain rule.

    Args:
        blocks: M of them.
        places: Int64 `[M, k]`, the group in the order in which it is drawn.
        alone: Float `[M, k, V]`, the marginals, in the order of the group's positions.
        order: Int64 `[M, k]`, which of these stands where in `places`.
        generator: The generator of the draws, on the host.
    """
    rows = torch.arange(len(blocks), device=places.device)
    block, now = blocks.masked(), alone[rows, order[:, 0]]
    entropy, divergence = entropies(now).cpu().double(), torch.zeros(len(blocks), dtype=torch.float64)
    for step in range(1, places.shape[1]):
        drawn = torch.multinomial(now.exp().cpu(), 1, generator=generator)[:, 0]
        block[rows, places[:, step - 1]] = drawn.to(block.device)
        now = blocks.log_probabilities(block, places[:, step : step + 1])[:, 0]
        entropy += entropies(now).cpu().double()
        divergence += _divergence(now, alone[rows, order[:, step]]).cpu().double()
    return entropy, divergence


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    """Float `[M]`: KL(ours ‖ theirs) in nats, of distributions `[M, V]` given as logarithms."""
    share = ours.exp()
    return (share * (ours - theirs)).masked_fill(share == 0, 0).sum(dim=-1).clamp(min=0)


def exact_gap(source: Source, spacing: int, size: int, widest: int, context: int) -> float:
    """What `gaps` estimates, exactly: the total correlation in nats, averaged over the offsets 0 to `widest` - 1.

    Args:
        source: The source of the tokens, which is also their denoiser.
        spacing, size: The spacing s and the size k of the group.
        widest: The widest spacing beside which it was measured.
        context: Known tokens before the block.

    Raises:
        TheoryError: Too many outcomes.
    """
    of, total = entropy_of(source, context), 0.0
    for offset in range(widest):
        places = [offset + spacing * number for number in range(size)]
        total += sum(of(1 << place) for place in places) - of(sum(1 << place for place in places))
    return total / widest
