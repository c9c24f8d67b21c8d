"""The loop: planner x denoiser -> tokens, one block after the other, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dus.decoding.canvas import Canvas, send
from dus.decoding.forward import Forward, Reading
from dus.decoding.progress import decide, settle
from dus.decoding.sampling import Choice, Sampler, Spread
from dus.decoding.settings import Settings
from dus.decoding.soundness import Peaks, check
from dus.denoisers import Denoiser
from dus.planners import BlockState, Prediction


@dataclass(frozen=True)
class Step:
    """What one denoiser call led to. Its tensors are views of the loop's own: read them before the next step.

    Attributes:
        rows: the rows that took part, as indices of the user's list (of prompts times samples).
        start: the block's first position, counted from the rows' first masked one.
        unmasked: bool `[N, B]`, the positions of the block that the step unmasked.
        remasked: bool `[N, B]`, those that it took back.
        tokens: int64 `[N, G]`, each row from its first masked position on, masks where none is written yet.
        lengths: for each row how many of these G are its own.
    """

    rows: list[int]
    start: int
    unmasked: Tensor
    remasked: Tensor
    tokens: Tensor
    lengths: list[int]


@dataclass
class Decoded:
    """A finished row on the host, from its first masked position to the end of its last decoded block.

    Attributes:
        row: its index in the user's list.
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


class Decoding:
    """A batch of rows on its way: `steps` goes through it once, and `finished` fills.

    Args:
        model: the denoiser.
        canvas: the rows.
        rows: for each its index in the user's list.
        settings: how to decode.
        stopped: tells whether a row may end from its tokens so far and from which of them were generated, int64 and
            bool `[G]` on the host.
    """

    def __init__(
        self,
        model: Denoiser,
        canvas: Canvas,
        rows: list[int],
        settings: Settings,
        stopped: Callable[[Tensor, Tensor], bool],
    ) -> None:
        self.model, self.canvas, self.settings, self.stopped = model, canvas, settings, stopped
        self.device = canvas.tokens.device
        suppress = [model.mask_token_id, *(settings.suppress_tokens or [])]
        self.sampler = Sampler(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            seed=settings.seed or 0,
            suppress=[token for token in suppress if token < model.vocab_size],
            defer=list(settings.defer_tokens or []),
            device=self.device,
        )
        self.forward = Forward(model, canvas, settings)
        self.rows = torch.tensor(rows)
        self.taken = torch.zeros(len(rows), dtype=torch.long)
        self.ends: list[list[int]] = [[] for _ in rows]
        self.finished: list[Decoded] = []
        shape = canvas.region.shape
        self.unchecked: list[Peaks] = []
        self.step = torch.full(shape, -1, device=self.device)
        self.confidence = torch.zeros(shape, device=self.device)
        self.entropy = torch.zeros(shape, device=self.device)

    def steps(self) -> Iterator[Step]:
        """Decode block by block, yielding after each denoiser call.

        Raises:
            GenerationError: where the denoiser gives NaN, or no finite logit at all.
        """
        while len(self.rows):
            at = torch.tensor([ends[-1] if ends else 0 for ends in self.ends])
            start = int(at.min())
            here = (at == start).nonzero()[:, 0]
            for stop, group, reading in self._blocks(start, here):
                yield from self._block(start, stop, group, reading)
                for row in group.tolist():
                    self.ends[row].append(stop)
            self._close(start, here)

    def _blocks(self, start: int, here: Tensor) -> Iterator[tuple[int, Tensor, Reading | None]]:
        """Where the blocks of rows `here` that begin at `start` stop, rows with equal ones together.

        With lengths to choose, the logits that they were chosen by come along; they are those of the first step.
        """
        auto, width = self.settings.auto, self.canvas.masked.shape[1]
        stop = min(start + self.settings.block_length, width)
        if auto is None:
            yield stop, here, None
            return
        lengths, reading = torch.full_like(here, self.settings.block_length), None
        masked = self.canvas.masked[here, start:stop]
        asked = masked.any(dim=1)
        if asked.any():
            rows, wanted = here[asked], masked[asked]
            logits, read = self.forward(rows, start, wanted, wanted)
            reading = Reading(rows, wanted, logits)
            entropy = Spread(read, (len(rows), stop - start))(self._choose(logits, rows, start + read).entropy)
            lengths[asked] = auto.lengths(entropy, wanted)
        for length in lengths.unique().tolist():
            yield min(start + length, width), here[lengths == length], reading

    def _block(self, start: int, stop: int, here: Tensor, reading: Reading | None) -> Iterator[Step]:
        """The steps of the block of region positions `start` to `stop` of rows `here`; those that are through leave.

        Args:
            start, stop: of the block.
            here: int64 `[N]` on the host.
            reading: what the first step reads, where that is known.
        """
        planner = self.settings.rule
        masked = self.canvas.masked[here, start:stop]
        if not masked.any():
            return
        home = torch.device("cpu") if planner.scheduled else self.device
        block = BlockState.begin(
            masked.to(home),
            length=(torch.tensor(self.canvas.lengths)[here] - start).clamp(0, stop - start).to(home),
            row=self.rows[here].to(home),
            start=torch.full_like(here, start).to(home),
        )
        while True:
            block, wanted, masked = settle(planner, block)
            live = masked.any(dim=1)
            if not live.all():
                if not live.any():
                    return
                here, wanted, masked = here[live], wanted[live], masked[live]
                block = block[send(live.nonzero()[:, 0], home)]
            block, step = self._step(block, here, start, wanted, masked, reading)
            reading = None
            yield step

    def _step(
        self, block: BlockState, here: Tensor, start: int, wanted: Tensor, masked: Tensor, reading: Reading | None
    ) -> tuple[BlockState, Step]:
        """One denoiser call, unless `reading` holds what it would give, and the unmasking that follows it.

        Logits and scores are gone when it returns: the next call needs the memory.
        """
        planner = self.settings.rule
        logits, read = reading.take(here, wanted) if reading else self.forward(here, start, wanted, masked)
        choice = self._choose(logits, here, start + read)
        spread = Spread(read, (len(here), wanted.shape[1]))
        if planner.scheduled:
            selected, revised = wanted & masked, None
            block = block.after(selected)
        else:
            prediction = self._prediction(choice, spread, here, start)
            selected, revised = decide(planner, block, wanted.to(self.device), prediction)
            block = block.after(selected, revised, prediction.confidence)
        return block, self._write(here, start, spread, choice, selected, revised)

    def _index(self, here: Tensor) -> Tensor | slice:
        """Rows of the canvas; a slice where all are meant, so that nothing is copied."""
        return slice(None) if len(here) == len(self.rows) else send(here, self.device)

    def _choose(self, logits: Tensor, here: Tensor, position: Tensor) -> Choice:
        """A token for each of the logits `[N, R, V]`, which are for `position` `[R]` or `[N, R]` of rows `here`."""
        rows, taken = self.rows[here], self.taken[here]
        return self.sampler(logits, row=rows, position=position.expand(len(here), -1), step=taken)

    def _prediction(self, choice: Choice, spread: Spread, here: Tensor, start: int) -> Prediction:
        """What the planner may read of the choice, laid out over the block."""
        region = self.canvas.region[self._index(here)]
        width = spread.shape[1]

        def standing() -> Tensor:
            token = region[:, start : start + width].gather(1, spread.read)
            return spread(choice.probability_of(token.clamp(max=self.model.vocab_size - 1)))

        return Prediction(
            confidence=lambda: spread(choice.confidence),
            entropy=lambda: spread(choice.entropy),
            margin=lambda: spread(choice.margin),
            token_confidence=standing,
        )

    def _write(
        self, here: Tensor, start: int, spread: Spread, choice: Choice, selected: Tensor, revised: Tensor | None
    ) -> Step:
        """Put the chosen tokens on the canvas and the step in the trace."""
        index, columns = self._index(here), slice(start, start + spread.shape[1])
        rows, taken, selected = self.rows[here], self.taken[here], send(selected, self.device)

        def update(target: Tensor, new: Tensor, blank: float) -> None:
            kept = target[index, columns]
            kept = kept if revised is None else kept.masked_fill(revised, blank)
            target[index, columns] = new.where(selected, kept)

        update(self.canvas.region, spread(choice.token), self.model.mask_token_id)
        update(self.step, send(taken, self.device)[:, None], -1)
        if self.settings.scores:
            update(self.confidence, spread(choice.confidence), 0)
            update(self.entropy, spread(choice.entropy), 0)
        self.unchecked.append(Peaks(rows, taken, start, columns.stop, choice.peak))
        self.taken[here] = taken + 1
        return Step(
            rows=rows.tolist(),
            start=start,
            unmasked=selected,
            remasked=torch.zeros_like(selected) if revised is None else revised,
            tokens=self.canvas.region[index],
            lengths=[self.canvas.lengths[row] for row in here.tolist()],
        )

    def _close(self, start: int, here: Tensor) -> None:
        """After the blocks of rows `here` that began at `start`: check them, and let the rows go that are done."""
        check(self.unchecked)
        self.unchecked.clear()
        region = self.canvas.region[self._index(here)].cpu()
        done = []
        for tokens, row in zip(region, here.tolist(), strict=True):
            end = min(self.ends[row][-1], self.canvas.lengths[row])
            masked = self.canvas.masked[row, :end]
            if self.canvas.lengths[row] == end or self.stopped(tokens[:end], masked):
                done.append(row)
                self.finished.append(self._decoded(row, tokens[:end], masked))
        if done:
            self._keep([row for row in range(len(self.rows)) if row not in done])

    def _decoded(self, row: int, tokens: Tensor, masked: Tensor) -> Decoded:
        """A finished row of these tokens, int64 `[G]`, those at `masked` generated."""
        end = len(tokens)
        return Decoded(
            row=int(self.rows[row]),
            tokens=tokens,
            masked=masked,
            step=self.step[row, :end].cpu(),
            confidence=self.confidence[row, :end].cpu(),
            entropy=self.entropy[row, :end].cpu(),
            steps=int(self.taken[row]),
            ends=[min(stop, end) for stop in self.ends[row]],
        )

    def _keep(self, rows: list[int]) -> None:
        """Go on with some of the rows."""
        host = torch.tensor(rows, dtype=torch.long)
        index = host.to(self.device)
        self.canvas = self.canvas[rows]
        self.forward.keep(self.canvas, host)
        self.rows, self.taken = self.rows[host], self.taken[host]
        self.ends = [self.ends[row] for row in rows]
        self.step = self.step[index]
        self.confidence, self.entropy = self.confidence[index], self.entropy[index]
