"""What a generation gives back, and what happened in it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Trace:
    """What happened: for each generated position the step that unmasked it. A list item is a row, on the host.

    Positions count from the row's first masked one and go to the end of its last decoded block.

    Attributes:
        step: int64 `[G]`, the row's step, from 0, that unmasked the position for good; -1 where it was given.
            Positions of the same step were unmasked together.
        confidence: float `[G]`, the probability of the token when it was unmasked; 0 where it was given. An empty
            list where scores were not asked for.
        entropy: float `[G]`, of the position's distribution then, in bits; likewise.
        block_length: of the grid, whose first block begins at position 0; the longest there may be, where lengths
            were chosen.
        planner: the planner's text.
        blocks: for each row where its blocks end, the last one at G.
    """

    step: list[Tensor]
    confidence: list[Tensor]
    entropy: list[Tensor]
    block_length: int
    planner: str
    blocks: list[list[int]]


@dataclass(frozen=True)
class Generation:
    """The answers to a list of prompts, in its order; with several samples a prompt, those of one prompt together.

    Attributes:
        tokens: for each row the generated tokens, int64 1-D on the host, up to the first end token or stop string;
            for infilling the whole row.
        text: the same as text; None where the denoiser has no tokenizer.
        nfe: for each row the denoiser calls that it took, two a step under guidance.
        written: for each row how many tokens were unmasked, those after the end token included.
        useful: for each row how many of these stand before the end token or stop string.
        trace: which step unmasked which position.
        seed: of the draws, also where none was given.
    """

    tokens: list[Tensor]
    text: list[str] | None
    nfe: list[int]
    written: list[int]
    useful: list[int]
    trace: Trace
    seed: int

    @property
    def tpf(self) -> list[float]:
        """Tokens per forward pass: for each row those before the end token, over NFE."""
        return [tokens / max(calls, 1) for tokens, calls in zip(self.useful, self.nfe, strict=True)]

    @property
    def raw_tpf(self) -> list[float]:
        """Tokens per forward pass, those after the end token included."""
        return [tokens / max(calls, 1) for tokens, calls in zip(self.written, self.nfe, strict=True)]
