"""Rows that are decoded by one rule: their blocks, and what a call means for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from dus.decoding.caches import send
from dus.decoding.canvas import Canvas, Row
from dus.decoding.planning import Decision, Due, decide, named, settle
from dus.decoding.sampling import Choice, Past, Peaks, Sampler
from dus.decoding.settings import Settings
from dus.decoding.trace import Step
from dus.denoisers import Denoiser
from dus.planners import BlockState, PlannerError, Prediction

Spread: TypeAlias = Callable[[Tensor], Tensor]
"""Puts values at the positions that were read, `[T]`, to their places in the blocks, `[N, B]`, zero elsewhere."""


@dataclass(frozen=True)
class Wanted:
    """The positions that a group reads in a call, T of them, row after row. Int64 `[T]`, on the host.

    Attributes:
        rows, offsets: The index of the row in the group, and the place in its block.
        lines, columns: The same on the canvas. `blind` holds the second lines of guided rows, and is empty otherwise.
        position: The position, counted from the row's first masked one.
    """

    rows: np.ndarray
    offsets: np.ndarray
    lines: np.ndarray
    blind: np.ndarray
    columns: np.ndarray
    position: np.ndarray

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The positions in the blocks `[N, B]`."""
        return self.rows, self.offsets


class Group:
    """The rows of one planner and one way to sample.

    Args:
        model: The denoiser.
        canvas: The canvas that holds the tokens of the rows.
        settings: The settings of any of the rows.

    Attributes:
        rows: The rows, in the order of the state.
        state: The state of their blocks, `[N, B]`, on the host if the planner is scheduled, else on the device.
        due: The positions of theirs that the next step is about.
    """

    def __init__(self, model: Denoiser, canvas: Canvas, settings: Settings) -> None:
        self.model, self.canvas, self.settings, self.planner = model, canvas, settings, settings.rule
        self.home = torch.device("cpu") if self.planner.scheduled else canvas.device
        suppress = [model.mask_token_id, *(settings.suppress_tokens or [])]
        self.sampler = Sampler(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            suppress=[token for token in suppress if token < model.vocab_size],
            defer=list(settings.defer_tokens or []),
            device=canvas.device,
        )
        self.rows: list[Row] = []
        nothing = torch.zeros(0, 0, dtype=torch.bool)
        self.state = BlockState.begin(nothing)
        self.due = Due(nothing, nothing, ())
        self.flags: tuple[Tensor, ...] = ()
        self.past = Past() if self.planner.compares else None

    def begin(self, rows: Sequence[Row]) -> None:
        """Take rows at the beginning of a block, new ones or rows of the group; it asks nothing of the device."""
        begun, due = self._begun(rows)
        if (self.rows or list(rows)) == list(rows):
            self.rows, self.state, self.due = list(rows), self._home(begun), due
            if self.past is not None:
                self.past.clear()
            return
        new = [row for row in rows if row not in self.rows]
        self._widen(begun.masked.shape[1], new)
        self.rows += new
        at = torch.tensor([self.rows.index(row) for row in rows])
        self._put(at, begun, due)
        if self.past is not None:
            self.past.forget(at)

    def _put(self, at: Tensor, begun: BlockState, due: Due) -> None:
        """Replace the state of rows, int64 on the host, and what is due in them."""
        width = self.due.masked.shape[1]
        self.state = self.state.put(send(at, self.home), self._home(begun.wide(width)))
        wanted, masked = (
            old.index_copy(0, at, pad(part, (0, width - part.shape[1])))
            for old, part in ((self.due.wanted, due.wanted), (self.due.masked, due.masked))
        )
        self.due = Due(wanted, masked, ())

    def _begun(self, rows: Sequence[Row]) -> tuple[BlockState, Due]:
        """The state before the first step of the rows' blocks, on the host, and what is due in it."""
        sizes = [row.stop - row.start for row in rows]
        masked = torch.zeros(len(rows), max(sizes), dtype=torch.bool)
        for number, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            masked[number, :size] = row.masked[row.start : row.stop]
        block = BlockState.begin(
            masked,
            length=torch.tensor(sizes),
            row=torch.tensor([row.draw for row in rows]),
            start=torch.tensor([row.start - row.origin for row in rows]),
        )
        state, due = settle(self.planner, block)
        choosing = torch.tensor([row.choosing for row in rows])
        return state, Due(due.wanted.where(~choosing[:, None], due.masked), due.masked, ())

    def _widen(self, width: int, new: Sequence[Row]) -> None:
        """Room for blocks of a width and for new rows, whose state is nothing yet."""
        width = max(width, self.due.masked.shape[1])
        count = len(new)
        self.state = self.state.wide(width).tall(count)
        grow = (0, width - self.due.masked.shape[1], 0, count)
        self.due = Due(pad(self.due.wanted, grow), pad(self.due.masked, grow), ())
        if self.past is not None:
            self.past.grow(*self.due.masked.shape)

    def _home(self, block: BlockState) -> BlockState:
        """The state where the planner's tensors are."""
        return replace(block, **{name: send(value, self.home) for name, value in vars(block).items()})

    @property
    def masked(self) -> np.ndarray:
        """Bool `[N, B]`: the masks of the rows' blocks."""
        return self.due.masked.numpy()

    def keep(self, kept: list[int]) -> None:
        """Go on with some of the rows, by index."""
        if len(kept) == len(self.rows):
            return
        at = torch.tensor(kept, dtype=torch.long)
        self.rows = [self.rows[index] for index in kept]
        self.state = self.state[send(at, self.home)]
        self.due = Due(self.due.wanted[at], self.due.masked[at], ())
        if self.past is not None:
            self.past.keep(at)

    def wants(self) -> Wanted:
        """The positions that the next call reads."""
        rows, offsets = self.due.wanted.numpy().nonzero()
        facts = [[row.lines[0], row.lines[-1], row.start, row.origin] for row in self.rows]
        line, other, start, origin = np.array(facts, dtype=np.int64)[rows].T
        columns = start + offsets
        blind = other if self.settings.cfg_scale else other[:0]
        return Wanted(rows, offsets, line, blind, columns, columns - origin)

    def advance(self, logits: Tensor, wanted: Wanted, *, watch: bool) -> tuple[Peaks, Step | None]:
        """Choose tokens from the logits `[T, V]` of what was wanted, let the planner decide, and write.

        Returns:
            The largest logits, to be looked at when a block ends, and what is to be told of the step.
        """
        count, width = self.due.masked.shape
        facts = [[row.settings.seed or 0, row.draw, row.taken] for row in self.rows]
        each = np.array(facts, dtype=np.int64)[wanted.rows]
        cells = wanted.lines * self.canvas.width + wanted.columns
        table = np.stack([*each.T, wanted.position, wanted.rows * width + wanted.offsets, cells])
        seed, draw, taken, position, place, cell = send(torch.from_numpy(table), self.canvas.device).unbind(0)
        choice = self.sampler(logits, seed=seed, row=draw, position=position, step=taken)

        def spread(values: Tensor) -> Tensor:
            return values.new_zeros(count * width).index_copy_(0, place, values).view(count, width)

        choosing = [number for number, row in enumerate(self.rows) if row.choosing]
        if choosing:
            self._choose(choosing, choice, spread)
        decision = self._decision(choice, spread, wanted, cell)
        self._write(choice, decision, wanted, place, cell, taken)
        where = [
            (row.number, row.draw, row.start - row.origin, row.stop - row.origin - 1, row.taken) for row in self.rows
        ]
        for row in self.rows:
            row.taken += 1
            row.opening = row.fresh = False
        return Peaks(choice.peak, wanted.rows, where), self._told(decision) if watch else None

    def _choose(self, choosing: list[int], choice: Choice, spread: Spread) -> None:
        """Give the rows that choose it the length of their block, by what is predicted of the next positions."""
        read: dict[str, Tensor] = {}
        for number in choosing:
            row = self.rows[number]
            rule, here = row.settings.auto, (slice(number, number + 1), slice(row.stop - row.start))
            assert rule is not None
            read |= {name: spread(getattr(choice, name)).cpu() for name in rule.reads if name not in read}
            (length,) = rule.lengths(self.due.wanted[here], **{name: read[name][here] for name in rule.reads})
            row.stop, row.choosing = min(row.start + int(length), row.stop), False
        self._put(torch.tensor(choosing), *self._begun([self.rows[number] for number in choosing]))

    def _decision(self, choice: Choice, spread: Spread, wanted: Wanted, cell: Tensor) -> Decision:
        """What the planner does with the choice; the state goes on to the step after."""
        if self.planner.scheduled:
            selected = self.due.wanted & self.due.masked
            decision = Decision(selected, None, None, selected & False)
            self.state = self.state.after(selected)
            return decision
        past = self.past
        prediction = Prediction(
            token=lambda: spread(choice.token),
            confidence=lambda: spread(choice.confidence),
            entropy=lambda: spread(choice.entropy),
            margin=lambda: spread(choice.margin),
            token_confidence=lambda: spread(choice.probability_of(self._standing(cell))),
            **({} if past is None else {"divergence": lambda: spread(past.divergence(choice, *wanted.places))}),
        )
        decision = decide(self.planner, self.state, send(self.due.wanted, self.home), prediction)
        if decision.edited is not None:
            other = spread(choice.token != self._standing(cell))
            decision = replace(decision, edited=decision.edited & other)
        self.flags = (decision.astray,) if decision.edited is None else (decision.astray, decision.edited)
        self.state = self.state.after(
            decision.selected,
            decision.revised,
            prediction.confidence,
            decision.edited,
            None if past is None else prediction.divergence,
        )
        if past is not None:
            past.remember(choice, *wanted.places, self.due.masked.shape)
        return decision

    def _standing(self, cell: Tensor) -> Tensor:
        """Int64 `[T]`: the tokens on the canvas at what was wanted; the mask may have no logit."""
        return self.canvas.tokens.view(-1)[cell].clamp(max=self.model.vocab_size - 1)

    def _write(
        self, choice: Choice, decision: Decision, wanted: Wanted, place: Tensor, cell: Tensor, taken: Tensor
    ) -> None:
        """Put the chosen tokens on the canvas and the step in the trace."""
        canvas = self.canvas
        if decision.revised is not None:
            canvas.take_back(self.rows, decision.revised)
        changed = decision.selected if decision.edited is None else decision.selected | decision.edited
        here: Tensor | None = send(changed, canvas.device).view(-1)[place]
        if self.planner.scheduled and len(wanted.rows) == int(decision.selected.sum()):
            here = None  # all that was read is written
        canvas.update("tokens", cell, choice.token, here)
        if len(wanted.blind):
            blind = send(torch.from_numpy(wanted.blind * canvas.width + wanted.columns), canvas.device)
            canvas.update("tokens", blind, choice.token, here)
        new = here if decision.edited is None else send(decision.selected, canvas.device).view(-1)[place]
        canvas.update("step", cell, taken, new)
        if self.settings.scores:
            canvas.update("confidence", cell, choice.confidence, here)
            canvas.update("entropy", cell, choice.entropy, here)
        if self.planner.scheduled:
            canvas.mark(self.rows, decision.selected.numpy())

    def _told(self, decision: Decision) -> Step:
        """The step as whoever watches is told of it."""
        cells, inside = self.canvas.cells(self.rows, decision.selected.shape[1])
        at = send(torch.from_numpy(cells), self.canvas.device)
        nothing = decision.selected & False
        blank = send(torch.from_numpy(~inside), self.canvas.device)
        return Step(
            rows=[row.number for row in self.rows],
            starts=[row.start - row.origin for row in self.rows],
            lengths=[row.stop - row.start for row in self.rows],
            unmasked=decision.selected,
            remasked=nothing if decision.revised is None else decision.revised,
            edited=nothing if decision.edited is None else decision.edited,
            tokens=self.canvas.tokens.view(-1)[at].masked_fill(blank, self.model.mask_token_id),
            confidence=self.canvas.confidence.view(-1)[at].masked_fill(blank, 0),
        )

    def settle(self) -> list[int]:
        """Look at what the step led to, in one transfer; the indices of the rows whose block is finished.

        Raises:
            PlannerError: The planner unmasked what it may not.
        """
        before = self.due.masked
        self.state, due = settle(self.planner, self.state, *self.flags)
        if due.flags and bool(due.flags[0].any()):
            raise PlannerError(
                f"{named(self.planner)}: select returns positions that are not masked, or that it did not want"
            )
        if not self.planner.scheduled:
            edited = due.flags[1].numpy() if len(due.flags) > 1 else False
            self.canvas.mark(self.rows, (before.numpy() != due.masked.numpy()) | edited)
        self.due, self.flags = Due(due.wanted, due.masked, ()), ()
        return np.flatnonzero(~due.wanted.numpy().any(axis=1)).tolist()
