"""What happened in a generation, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """What one denoiser call led to in the rows of one planner. Its tensors are read before the next call.

    Attributes:
        rows: the rows that took part, by the numbers that the engine gave them; in `dus.steps` and in a watcher of
            `dus.generate` the indices of the user's list (of prompts times samples).
        starts: for each row its block's first position, counted from the row's first masked one.
        lengths: for each row how many positions its block has, at most B.
        unmasked: bool `[N, B]`, the positions of the block that the step unmasked.
        remasked: bool `[N, B]`, those that it took back.
        edited: bool `[N, B]`, those whose token it overwrote.
        tokens: int64 `[N, B]`, the block's tokens now, masks where none is written yet; they may be on another device.
        confidence: float `[N, B]`, the probability that each written token had when it was written; zeros where
            scores were not asked for.
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
    """A row has finished a block: nothing of it will change.

    Attributes:
        row: the row's number.
        tokens: int64 `[G]` on the host, the row from its first masked position to the end of the block.
        masked: bool `[G]`, the positions that were to be generated.
    """

    row: int
    tokens: Tensor
    masked: Tensor


@dataclass(frozen=True)
class Decoded:
    """A finished row on the host, from its first masked position to the end of its last decoded block.

    Attributes:
        row: the row's number.
        tokens: int64 `[G]`.
        masked: bool `[G]`, the positions that were to be generated.
        step, confidence, entropy: `[G]`, as in `Trace`.
        steps: how many it took.
        ends: where its blocks ended, as in `Trace.blocks`.
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
        row: the row's number.
        error: what happened.
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
        step: int64 `[G]`, the row's step, from 0, that unmasked the position for good; -1 where it was given.
            Positions of the same step were unmasked together.
        confidence: float `[G]`, the probability of the token when it was unmasked; 0 where it was given. An empty
            list where scores were not asked for.
        entropy: float `[G]`, the entropy of the position's distribution then, in bits; likewise.
        block_length: the length of the blocks; the longest there may be, where lengths were chosen.
        planner: the planner's text.
        blocks: for each row where its blocks end, the last one at G.
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
        tokens: for each row the generated tokens, int64 1-D on the host, up to the first end token or stop string;
            for infilling the whole row.
        text: the same as text; None where the denoiser has no tokenizer.
        nfe: for each row the denoiser calls that it took, two a step under guidance.
        written: for each row how many tokens were unmasked, those after the end token included.
        useful: for each row how many of these stand before the end token or stop string.
        trace: which step unmasked which position.
        seed: the seed that tokens were drawn with, also where none was given.
        tokenizer: what reads the tokens; None where the denoiser has none.
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
        from dus.decoding.colours import as_html

        return as_html(self, _SHOWN)


_SHOWN, _LONGEST = 4, 100
