"""What happened in a generation, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """What one denoiser call led to in the rows of one planner. Its tensors are read before the next call.

    Attributes:
        rows: The rows that took part, by the numbers that the engine gave them. In `dus.steps`, and where
            `dus.generate` calls a progress function, these are places in the list of prompts, or of prompts times
            samples.
        starts: The first position of each row's block, counted from the row's first masked position.
        lengths: The number of positions in each row's block, at most B.
        unmasked: Bool `[N, B]`: the positions of the block that the step unmasked.
        remasked: Bool `[N, B]`: the positions that it masked again.
        edited: Bool `[N, B]`: the positions whose token it overwrote.
        tokens: Int64 `[N, B]`: the tokens of the block after the step, masks among them, on the model's device.
        confidence: Float `[N, B]`: the probability that each token had when it was written; zeros if scores were not
            asked for.
    """

    rows: list[int]
    starts: list[int]
    lengths: list[int]
    unmasked: Tensor
    remasked: Tensor
    edited: Tensor
    tokens: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class BlockDone:
    """A row has finished a block, none of whose tokens will change any more.

    Attributes:
        row: The number that the engine gave the row.
        tokens: Int64 `[G]`, on the host: the row from its first masked position to the end of the block.
        masked: Bool `[G]`: the positions that were to be generated.
    """

    row: int
    tokens: Tensor
    masked: Tensor


@dataclass(frozen=True)
class Decoded:
    """A finished row on the host, from its first masked position to the end of its last decoded block.

    Attributes:
        row: The number that the engine gave the row.
        tokens: Int64 `[G]`: its tokens.
        masked: Bool `[G]`: the positions that were to be generated.
        step: Tensor `[G]`, as in `Trace`.
        confidence: Tensor `[G]`, as in `Trace`.
        entropy: Tensor `[G]`, as in `Trace`.
        steps: The number of steps that it took.
        ends: The positions where its blocks ended, as in `Trace.blocks`.
    """

    row: int
    tokens: Tensor
    masked: Tensor
    step: Tensor
    confidence: Tensor
    entropy: Tensor
    steps: int
    ends: list[int]


@dataclass(frozen=True)
class Failed:
    """A row that cannot go on, such as one for which the denoiser gave NaN; it has left the engine.

    Attributes:
        row: The number that the engine gave the row.
        error: The error that ended it.
    """

    row: int
    error: Exception


Event = Step | BlockDone | Decoded | Failed
"""What `Engine.step` tells."""


@dataclass(frozen=True)
class Trace:
    """What happened: for each generated position the step that unmasked it. A list item is a row, on the host.

    Positions count from the row's first masked one and go to the end of its last decoded block.

    Attributes:
        step: Int64 `[G]`: the step of the row, counted from 0, that unmasked the position for good; -1 where the token
            was given. Positions with the same step were unmasked together.
        confidence: Float `[G]`: the probability that the token had when it was unmasked; 0 where it was given. The list
            is empty if scores were not asked for.
        entropy: Float `[G]`: the entropy of the position's distribution at that step, in bits; 0 where the token was
            given. The list is empty if scores were not asked for.
        block_length: The length of the blocks; where lengths were chosen, the longest that there may be.
        planner: The text of the planner.
        blocks: For each row the positions where its blocks end, the last one being G.
    """

    step: list[Tensor]
    confidence: list[Tensor]
    entropy: list[Tensor]
    block_length: int
    planner: str
    blocks: list[list[int]]


@dataclass(frozen=True, repr=False)
class Generation:
    """The answers to a list of prompts, in its order; with several samples a prompt, those of one prompt together.

    Attributes:
        tokens: For each row the generated tokens, an int64 1-D tensor on the host, up to the first end token or stop
            string; after `dus.infill` the whole row.
        text: The same as strings; None if the denoiser has no tokenizer.
        nfe: For each row the number of denoiser calls that it took, which under guidance are two a step.
        written: For each row the number of tokens that were unmasked, including those after the end token.
        useful: For each row the number of unmasked tokens before the end token or stop string.
        trace: The record of which step unmasked which position.
        seed: The seed that tokens were sampled with, whether it was given or picked.
        tokenizer: The tokenizer that reads the tokens; None if the denoiser has none.
    """

    tokens: list[Tensor]
    text: list[str] | None
    nfe: list[int]
    written: list[int]
    useful: list[int]
    trace: Trace
    seed: int
    tokenizer: Any = field(default=None, compare=False)

    @property
    def tpf(self) -> list[float]:
        """Tokens per forward pass: for each row those before the end token, over NFE."""
        return [tokens / max(calls, 1) for tokens, calls in zip(self.useful, self.nfe, strict=True)]

    @property
    def raw_tpf(self) -> list[float]:
        """Tokens per forward pass, those after the end token included."""
        return [tokens / max(calls, 1) for tokens, calls in zip(self.written, self.nfe, strict=True)]

    def __repr__(self) -> str:
        lines = [f"Generation of {len(self.nfe)} row{'s' * (len(self.nfe) != 1)} under {self.trace.planner}"]
        for row, (calls, speed) in enumerate(zip(self.nfe, self.tpf, strict=True)):
            if row == _SHOWN:
                lines.append(f"  and {len(self.nfe) - row} more")
                break
            said = repr(self.text[row]) if self.text is not None else f"{len(self.tokens[row])} tokens"
            said = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
            lines.append(f"  {said}  ({calls} calls, {speed:.2f} tokens a call)")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from dus.writing.colours import as_html

        return as_html(self, _SHOWN)


_SHOWN, _LONGEST = 4, 100
