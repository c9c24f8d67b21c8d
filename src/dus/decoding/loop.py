"""The loop: planner x denoiser -> tokens, one block after the other, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dus.decoding.canvas import Canvas, send
from dus.decoding.forward import Forward
from dus.decoding.progress import decide, settle
from dus.decoding.sampling import Choice, Sampler, Spread
from dus.decoding.settings import GenerationError, Settings
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
    """

    row: int
    tokens: Tensor
    masked: Tensor
    step: Tensor
    confidence: Tensor
    entropy: Tensor
    steps: int


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
        self.finished: list[Decoded] = []
        shape = canvas.region.shape
        self.broken = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        self.step = torch.full(shape, -1, device=self.device)
        self.confidence = torch.zeros(shape, device=self.device)
        self.entropy = torch.zeros(shape, device=self.device)

    def steps(self) -> Iterator[Step]:
        """Decode block by block, yielding after each denoiser call.

        Raises:
            GenerationError: where the denoiser gives NaN, or no finite logit at all.
        """
        start = 0
        while len(self.rows):
            stop = min(start + self.settings.block_length, self.canvas.masked.shape[1])
            yield from self._block(start, stop)
            self._close(start, stop)
            start = stop

    def _block(self, start: int, stop: int) -> Iterator[Step]:
        """The steps of the block of region positions `start` to `stop`; rows that are through leave it."""
        planner = self.settings.rule
        if not self.canvas.masked[:, start:stop].any():
            return
        home = torch.device("cpu") if planner.scheduled else self.device
        block = BlockState.begin(
            self.canvas.masked[:, start:stop].to(home),
            length=(torch.tensor(self.canvas.lengths) - start).clamp(0, stop - start).to(home),
            row=self.rows.to(home),
            start=torch.full_like(self.rows, start).to(home),
        )
        here = torch.arange(len(self.rows))
        while True:
            block, wanted, masked = settle(planner, block)
            live = masked.any(dim=1)
            if not live.any():
                return
            if not live.all():
                here, wanted, masked = here[live], wanted[live], masked[live]
                block = block[send(live.nonzero()[:, 0], home)]
            logits, read = self.forward(here, start, wanted, masked)
            choice = self._choose(logits, here, start + read)
            spread = Spread(read, (len(here), stop - start))
            if planner.scheduled:
                selected, revised = wanted & masked, torch.zeros_like(masked)
                block = block.after(selected, revised)
            else:
                prediction = self._prediction(choice, spread, here, start)
                selected, revised = decide(planner, block, wanted.to(home), prediction)
                block = block.after(selected, revised, prediction.confidence)
            yield self._write(here, start, spread, choice, selected, revised)

    def _index(self, here: Tensor) -> Tensor | slice:
        """Rows of the canvas; a slice where all are meant, so that nothing is copied."""
        return slice(None) if len(here) == len(self.rows) else send(here, self.device)

    def _choose(self, logits: Tensor, here: Tensor, position: Tensor) -> Choice:
        """A token for each of the logits `[N, R, V]`, which are for `position` `[R]` or `[N, R]` of rows `here`."""
        row, taken = send(self.rows[here], self.device), send(self.taken[here], self.device)
        return self.sampler(logits, row=row, position=position.expand(len(here), -1), step=taken)

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
        self, here: Tensor, start: int, spread: Spread, choice: Choice, selected: Tensor, revised: Tensor
    ) -> Step:
        """Put the chosen tokens on the canvas and the step in the trace."""
        index, columns = self._index(here), slice(start, start + spread.shape[1])
        selected, revised = send(selected, self.device), send(revised, self.device)
        taken = send(self.taken[here], self.device)[:, None].expand(selected.shape)

        def update(target: Tensor, new: Tensor, blank: float) -> None:
            target[index, columns] = new.where(selected, target[index, columns].masked_fill(revised, blank))

        update(self.canvas.region, spread(choice.token), self.model.mask_token_id)
        update(self.step, taken, -1)
        if self.settings.scores:
            update(self.confidence, spread(choice.confidence), 0)
            update(self.entropy, spread(choice.entropy), 0)
        self.broken[index] |= choice.broken.any(dim=1)
        self.taken[here] += 1
        return Step(
            rows=self.rows[here].tolist(),
            start=start,
            unmasked=selected,
            remasked=revised,
            tokens=self.canvas.region[index],
            lengths=[self.canvas.lengths[row] for row in here],
        )

    def _close(self, start: int, stop: int) -> None:
        """After a block: check it, and let the rows go that are done."""
        broken = self.broken.cpu()
        if broken.any():
            raise GenerationError(
                f"the denoiser gave NaN or no finite logit for row {int(self.rows[broken][0])}, in the block of "
                f"positions {start} to {stop - 1}: its weights or its dtype are broken"
            )
        tokens, masked = self.canvas.region[:, :stop].cpu(), self.canvas.masked[:, :stop]
        lengths = self.canvas.lengths
        done = [lengths[row] <= stop or self.stopped(tokens[row], masked[row]) for row in range(len(self.rows))]
        for row in [row for row, through in enumerate(done) if through]:
            end = min(stop, lengths[row])
            self.finished.append(
                Decoded(
                    row=int(self.rows[row]),
                    tokens=tokens[row, :end],
                    masked=masked[row, :end],
                    step=self.step[row, :end].cpu(),
                    confidence=self.confidence[row, :end].cpu(),
                    entropy=self.entropy[row, :end].cpu(),
                    steps=int(self.taken[row]),
                )
            )
        if any(done):
            self._keep([row for row, through in enumerate(done) if not through])

    def _keep(self, rows: list[int]) -> None:
        """Go on with some of the rows."""
        host = torch.tensor(rows, dtype=torch.long)
        index = host.to(self.device)
        self.canvas = self.canvas[rows]
        self.forward.keep(self.canvas, host)
        self.rows, self.taken = self.rows[host], self.taken[host]
        self.broken, self.step = self.broken[index], self.step[index]
        self.confidence, self.entropy = self.confidence[index], self.entropy[index]
