"""The perfect denoiser: a source's own conditional distributions, behind the contract of a model."""

from __future__ import annotations

import torch
from torch import Tensor

from dus.denoisers import Denoiser
from dus.denoisers.base import Read
from dus.denoisers.columns import take
from dus.lab.theory.chains import TheoryError
from dus.lab.theory.sources import Source


class MarkovDenoiser(Denoiser):
    """A source as a denoiser: `log p(x_i = v | all other revealed tokens)`, exact, by the forward-backward algorithm.

    A canvas is a stretch of the stationary stream. Padding (a zero of the attention mask) counts as not revealed,
    which changes nothing for what stands behind it. Tokens drawn in parallel may contradict each other, where the
    source has zeros; a pass that meets a contradiction goes on from the stationary distribution.

    Attributes:
        mask_token_id: V, the first id that the source does not use.
        vocab_size: V + 1; the mask's logit is minus infinity.
        transition, emission, initial: The source's, as tensors.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.mask_token_id = source.vocab
        self.vocab_size = source.vocab + 1
        self.transition = torch.from_numpy(source.transition)
        self.emission = torch.from_numpy(source.emission)
        self.initial = torch.from_numpy(source.initial)
        unknown = torch.ones(source.states, 1, dtype=torch.float64)
        self._evidence = torch.cat([self.emission, unknown], dim=1).T.contiguous()

    def logits(
        self, canvas: Tensor, *, read: Read, attention_mask: Tensor | None = None, cache: object | None = None
    ) -> Tensor:
        """Float64 `[N, R, V + 1]`, or `[T, V + 1]` for a pair: natural log-probabilities of the tokens read.

        At a revealed position they are those given all *other* revealed ones.

        Args:
            canvas: Int64 `[N, L]`, ids 0 to V - 1, and V for a mask.
            read: Int64 `[R]` or `[N, R]`, or a pair of rows and columns, int64 `[T]`.
            attention_mask: `[N, L]`, zero at padding.
            cache: None is supported: the passes are exact and cheap.

        Raises:
            TheoryError: An id that the source does not know, or a cache.
        """
        if cache is not None:
            raise TheoryError("a Markov denoiser keeps no cache: use cache='none'")
        if int(canvas.min()) < 0 or int(canvas.max()) > self.mask_token_id:
            raise TheoryError(
                f"the canvas holds the token {int(canvas.max())}; this source knows 0 to {self.mask_token_id - 1}, "
                f"and {self.mask_token_id} is its mask"
            )
        if attention_mask is not None:
            canvas = canvas.masked_fill(attention_mask == 0, self.mask_token_id)
        state = self.states(canvas.cpu())
        wanted = (read[0].cpu(), read[1].cpu()) if isinstance(read, tuple) else read.cpu()
        tokens = take(state, wanted) @ self.emission
        mask = torch.zeros_like(tokens[..., :1])
        return torch.cat([tokens, mask], dim=-1).log().to(canvas.device)

    def states(self, canvas: Tensor) -> Tensor:
        """Float64 `[N, L, S]`: the distribution of each position's state given all other revealed tokens."""
        evidence = self._evidence[canvas]
        ahead = torch.empty_like(evidence)
        law = self.initial.expand(len(canvas), -1)
        for place in range(canvas.shape[1]):
            ahead[:, place] = law
            law = _normal(law * evidence[:, place], self.initial * evidence[:, place]) @ self.transition
        behind = torch.ones_like(law)
        for place in reversed(range(canvas.shape[1])):
            ahead[:, place] = _normal(ahead[:, place] * behind, ahead[:, place])
            seen = _normal(behind * evidence[:, place], evidence[:, place])
            behind = _normal(seen @ self.transition.T, torch.ones_like(seen))
        return ahead


def _normal(weights: Tensor, otherwise: Tensor) -> Tensor:
    """Each row of `[N, S]` over its sum; where that is zero, the row of `otherwise` over its own."""
    total = weights.sum(dim=1, keepdim=True)
    return torch.where(total > 0, weights / total, otherwise / otherwise.sum(dim=1, keepdim=True))
