"""Fresh answers to analyse: planners at block lengths on the same prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dus.lab.analysis.traced import Answer, Traced
from dus.planners import BlockState, Planner, Prediction, Wrapper, parse
from dus.writing.colours import pieces

if TYPE_CHECKING:
    from torch import Tensor

    from dus.decoding import Generation
    from dus.denoisers import Denoiser


def traced(
    model: Denoiser,
    prompts: list[str] | list[Tensor],
    *,
    texts: Sequence[str],
    planners: Sequence[str],
    block_lengths: Sequence[int],
    name: str = "",
    **decoding: Any,
) -> Iterator[Traced]:
    """Answer the prompts under each planner at each block length.

    The first answer of each is decoded once more, to see the entropy of every masked position before every step.

    Args:
        model: a denoiser with a tokenizer.
        prompts: at least one, as `dus.generate` takes them.
        texts: the prompts as people read them.
        planners: their texts.
        block_lengths: neighbouring positions that are decoded together.
        name: of the model, for tables.
        decoding: further arguments of `dus.generate`; the seed of drawn tokens is 0 unless given.

    Raises:
        GenerationError, PlannerError: as `dus.generate`.
    """
    from dus.decoding import generate

    drawn = {"seed": 0} if decoding.get("temperature") else {}
    for block_length in block_lengths:
        for planner in map(parse, planners):
            settings = {**drawn, **decoding, "block_length": block_length}
            generation = generate(model, prompts, planner=planner, **settings)
            answers = _answers(generation, texts, getattr(model, "tokenizer", None))
            answers[0] = replace(answers[0], entropies=observed(model, prompts[:1], planner=planner, **settings))
            yield Traced(str(planner), block_length, tuple(answers), name)


def observed(
    model: Denoiser, prompt: list[str] | list[Tensor], *, planner: str | Planner, **decoding: Any
) -> NDArray[np.float64]:
    """Float `[T, G]`: before each step the entropy of each masked position of its block, in bits; nan elsewhere.

    The planner decides as it would unobserved, and writes the same tokens; only more logits are computed.

    Args:
        model: a denoiser.
        prompt: a single one, in a list.
        planner: which positions are unmasked when.
        decoding: further arguments of `dus.generate`.
    """
    from dus.decoding import generate

    watcher = _Observed(parse(planner))
    generation = generate(model, prompt, planner=watcher, **decoding)
    width = len(generation.trace.step[0])
    found = np.full((len(watcher.seen), width), np.nan)
    for target, (start, masked, entropy) in zip(found, watcher.seen, strict=True):
        here = np.flatnonzero(masked.numpy(force=True)[0])
        target[int(start[0]) + here] = entropy.float().numpy(force=True)[0, here]
    return found


@dataclass(frozen=True)
class _Observed(Wrapper):
    """A planner that reads the entropy of all masked positions before the inner one decides."""

    inner: Planner
    seen: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def wanted(self, block: BlockState) -> Tensor:
        """Bool `[N, B]`: every masked position too, unless the inner planner wants none and its level is passed."""
        wanted = self.inner.wanted(block)
        return wanted | (block.masked & (wanted & block.masked).any(dim=1, keepdim=True))

    def select(self, block: BlockState, prediction: Prediction) -> Tensor:
        """Bool `[N, B]`: what the inner planner selects."""
        self.seen.append((block.start, block.masked, prediction.entropy))
        return self.inner.select(block, prediction)

    def num_steps(self, block_length: int) -> int | None:
        """As many as the inner planner."""
        return self.inner.num_steps(block_length)


def _answers(generation: Generation, texts: Sequence[str], tokenizer: Any) -> list[Answer]:
    """The rows of a generation, one a prompt."""
    trace = generation.trace
    found = []
    for row, prompt in enumerate(texts):
        step = trace.step[row].numpy()
        tokens = generation.tokens[row].tolist()
        words = pieces(tokenizer, tokens) if tokenizer is not None else ("",) * len(tokens)
        kept = [trace.confidence[row].numpy(), trace.entropy[row].numpy()] if trace.confidence else [np.nan, np.nan]
        confidence, entropy = (np.where(step >= 0, score, np.nan).astype(float) for score in kept)
        found.append(
            Answer(
                prompt=prompt,
                pieces=words + ("",) * (len(step) - len(tokens)),
                step=step,
                confidence=confidence,
                entropy=entropy,
                calls=generation.nfe[row],
                useful=generation.useful[row],
            )
        )
    return found
