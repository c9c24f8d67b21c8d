"""Rows that are decoded by one rule: their blocks, and what a call means for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from dus.decoding.caches import send
from dus.decoding.canvas import Canvas, Row
from dus.decoding.planning import Decision, Due, decide, named, settle
from dus.decoding.sampling import Choice, Peaks, Sampler
from dus.decoding.settings import Settings
from dus.decoding.trace import Step
from dus.denoisers import Denoiser
from dus.planners import BlockState, Planner, PlannerError, Prediction

Spread: TypeAlias = Callable[[Tensor], Tensor]
"""Puts values at the positions that were read, `[T]`, to their places in the blocks, `[N, B]`, zero elsewhere."""


def key_of(settings: Settings) -> tuple[object, ...]:
    """What rows have to agree in to be decoded by one rule; each keeps its own seed, blocks and stops."""
    lists = (tuple(settings.suppress_tokens or ()), tuple(settings.defer_tokens or ()))
    sampling = (settings.temperature, settings.top_p, settings.top_k, settings.cfg_scale, settings.scores)
    rule = settings.rule
    return (rule if _hashes(rule) else id(rule), *sampling, *lists)


def _hashes(rule: Planner) -> bool:
    """Whether a planner has a hash; one of the user's own may hold a list."""
    try:
        hash(rule)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class Wanted:
    """The positions that a group reads in a call, T of them, row after row. Int64 `[T]` on the host.

    Attributes:
        rows, offsets: which row of the group, and where in its block.
        lines, columns: the same on the canvas; `blind` are the second lines of guided rows, else empty.
        position: counted from the row's first masked one.
    """

    rows: Tensor
    offsets: Tensor
    lines: Tensor
    blind: Tensor
    columns: Tensor
    position: Tensor


class Group:
    """The rows of one planner and one way to sample.

    Args:
        model: the denoiser.
        canvas: where the rows' tokens are.
        settings: of any of the rows.

    Attributes:
        rows: the rows, in the order of the state's.
        state: their blocks, `[N, B]`: on the host where the planner is scheduled, else on the device.
        due: what is wanted of them next.
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
        self.state: BlockState | None = None
        self.due: Due | None = None
        self.flags: tuple[Tensor, ...] = ()
        self.past: Tensor | None = None

    def begin(self, rows: Sequence[Row]) -> None:
        """Take rows at the beginning of a block, new ones or rows of the group; it asks nothing of the device."""
        new = [row for row in rows if row not in self.rows]
        begun, due = self._begun(rows)
        if not self.rows or (not new and len(rows) == len(self.rows)):
            order = list(rows) if not self.rows else self.rows
            if order == list(rows):
                self.rows, self.state, self.due, self.past = order, _moved(begun, self.home), due, None
                return
        self._widen(begun.masked.shape[1], new)
        assert self.state is not None
        assert self.due is not None
        self.rows += new
        at = torch.tensor([self.rows.index(row) for row in rows])
        width = self.due.masked.shape[1]
        self.state = _put(self.state, send(at, self.home), _moved(_wide(begun, width), self.home))
        wanted, masked = (
            old.index_copy(0, at, pad(part, (0, width - part.shape[1])))
            for old, part in ((self.due.wanted, due.wanted), (self.due.masked, due.masked))
        )
        self.due = Due(wanted, masked, ())
        if self.past is not None:
            self.past[send(at, self.past.device)] = torch.nan

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
        assert self.state is not None
        assert self.due is not None
        width = max(width, self.due.masked.shape[1])
        count = len(new)
        self.state = _taller(_wide(self.state, width), count)
        grow = (0, width - self.due.masked.shape[1], 0, count)
        self.due = Due(pad(self.due.wanted, grow), pad(self.due.masked, grow), ())
        if self.past is not None:
            self.past = pad(self.past, (0, 0, *grow), value=torch.nan)

    def keep(self, kept: list[int]) -> None:
        """Go on with some of the rows, by index."""
        if len(kept) == len(self.rows) or self.state is None or self.due is None:
            return
        at = torch.tensor(kept, dtype=torch.long)
        self.rows = [self.rows[index] for index in kept]
        self.state = self.state[send(at, self.home)]
        self.due = Due(self.due.wanted[at], self.due.masked[at], ())
        if self.past is not None:
            self.past = self.past[send(at, self.past.device)]

    def wants(self) -> Wanted:
        """The positions that the next call reads."""
        assert self.due is not None
        rows, offsets = self.due.wanted.nonzero(as_tuple=True)
        table = torch.tensor([[row.lines[0], row.lines[-1], row.start, row.origin] for row in self.rows])[rows]
        columns = table[:, 2] + offsets
        blind = table[:, 1] if self.settings.cfg_scale else table[:0, 1]
        return Wanted(rows, offsets, table[:, 0], blind, columns, columns - table[:, 3])

    def advance(self, logits: Tensor, wanted: Wanted, *, watch: bool) -> tuple[Peaks, Step | None]:
        """Choose tokens from the logits `[T, V]` of what was wanted, let the planner decide, and write.

        Returns:
            The largest logits, to be looked at when a block ends, and what is to be told of the step.
        """
        assert self.state is not None
        assert self.due is not None
        count, width = self.due.masked.shape
        each = torch.tensor([[row.settings.seed or 0, row.draw, row.taken] for row in self.rows])[wanted.rows]
        cell = wanted.lines * self.canvas.width + wanted.columns
        table = torch.stack([*each.unbind(1), wanted.position, wanted.rows * width + wanted.offsets, cell])
        seed, draw, taken, position, place, cell = send(table, self.canvas.device)
        choice = self.sampler(logits, seed=seed, row=draw, position=position, step=taken)

        def spread(values: Tensor) -> Tensor:
            return values.new_zeros(count * width).index_copy_(0, place, values).view(count, width)

        choosing = [number for number, row in enumerate(self.rows) if row.choosing]
        if choosing:
            self._choose(choosing, spread(choice.entropy))
        decision = self._decision(choice, spread, wanted)
        self._write(choice, decision, wanted, place, cell, taken)
        where = [
            (row.number, row.draw, row.start - row.origin, row.stop - row.origin - 1, row.taken) for row in self.rows
        ]
        for row in self.rows:
            row.taken += 1
            row.opening = row.fresh = False
        return Peaks(choice.peak, wanted.rows, where), self._told(decision) if watch else None

    def _choose(self, choosing: list[int], entropy: Tensor) -> None:
        """Give the rows that choose it the length of their block, by the entropies `[N, B]` of what comes next."""
        assert self.due is not None
        at = torch.tensor(choosing)
        lengths: list[Tensor] = []
        for number in choosing:
            rule, row = self.rows[number].settings.auto, self.rows[number]
            assert rule is not None
            size = row.stop - row.start
            lengths += rule.lengths(entropy[number : number + 1, :size], self.due.wanted[number : number + 1, :size])
        for number, length in zip(choosing, lengths, strict=True):
            row = self.rows[number]
            row.stop, row.choosing = min(row.start + int(length), row.stop), False
        begun, due = self._begun([self.rows[number] for number in choosing])
        width = self.due.masked.shape[1]
        assert self.state is not None
        self.state = _put(self.state, send(at, self.home), _moved(_wide(begun, width), self.home))
        wide = (0, width - due.masked.shape[1])
        self.due = Due(
            self.due.wanted.index_copy(0, at, pad(due.wanted, wide)),
            self.due.masked.index_copy(0, at, pad(due.masked, wide)),
            (),
        )

    def _decision(self, choice: Choice, spread: Spread, wanted: Wanted) -> Decision:
        """What the planner does with the choice; the state goes on to the step after."""
        assert self.state is not None
        assert self.due is not None
        if self.planner.scheduled:
            selected = self.due.wanted & self.due.masked
            decision = Decision(selected, None, None, selected & False)
            self.state = self.state.after(selected)
            return decision
        prediction = Prediction(
            token=lambda: spread(choice.token),
            confidence=lambda: spread(choice.confidence),
            entropy=lambda: spread(choice.entropy),
            margin=lambda: spread(choice.margin),
            token_confidence=lambda: spread(choice.probability_of(self._standing(wanted))),
            divergence=lambda: self._divergence(choice, spread, wanted),
        )
        decision = decide(self.planner, self.state, send(self.due.wanted, self.home), prediction)
        if decision.edited is not None:
            other = spread(choice.token != self._standing(wanted))
            decision = replace(decision, edited=decision.edited & other)
        self.flags = (decision.astray,) if decision.edited is None else (decision.astray, decision.edited)
        self.state = self.state.after(
            decision.selected,
            decision.revised,
            prediction.confidence,
            decision.edited,
            prediction.divergence if self.planner.compares else None,
        )
        if self.planner.compares:
            self._remember(choice, spread, wanted)
        return decision

    def _standing(self, wanted: Wanted) -> Tensor:
        """Int64 `[T]`: the tokens on the canvas at what was wanted; the mask may have no logit."""
        cell = send(wanted.lines * self.canvas.width + wanted.columns, self.canvas.device)
        return self.canvas.tokens.view(-1)[cell].clamp(max=self.model.vocab_size - 1)

    def _divergence(self, choice: Choice, spread: Spread, wanted: Wanted) -> Tensor:
        """Float `[N, B]`: KL in nats from each distribution of the step before to that of now; inf where none was."""
        now = choice.log_probability
        if self.past is None:
            return spread(torch.full_like(now[:, 0], torch.inf))
        index = send(torch.stack([wanted.rows, wanted.offsets]), now.device)
        nats = torch.linalg.vecdot(now.exp(), now - self.past[index[0], index[1]]).clamp(min=0)
        return spread(nats.nan_to_num(nan=torch.inf))

    def _remember(self, choice: Choice, spread: Spread, wanted: Wanted) -> None:
        """Keep the step's distributions for the next one."""
        assert self.due is not None
        now = choice.log_probability
        self.past = now.new_full((*self.due.masked.shape, now.shape[-1]), torch.nan)
        index = send(torch.stack([wanted.rows, wanted.offsets]), now.device)
        self.past[index[0], index[1]] = now

    def _write(
        self, choice: Choice, decision: Decision, wanted: Wanted, place: Tensor, cell: Tensor, taken: Tensor
    ) -> None:
        """Put the chosen tokens on the canvas and the step in the trace."""
        assert self.due is not None
        canvas = self.canvas
        if decision.revised is not None:
            self._take_back(decision.revised)
        changed = decision.selected if decision.edited is None else decision.selected | decision.edited
        here: Tensor | None = send(changed, canvas.device).view(-1)[place]
        if self.planner.scheduled and len(wanted.rows) == int(decision.selected.sum()):
            here = None  # all that was read is written
        blind = send(wanted.blind * canvas.width + wanted.columns, canvas.device) if len(wanted.blind) else None

        def update(target: Tensor, new: Tensor, at: Tensor) -> None:
            flat = target.view(-1)
            flat.index_copy_(0, at, new if here is None else new.where(here, flat[at]))

        for at in (cell,) if blind is None else (cell, blind):
            update(canvas.tokens, choice.token, at)
        unmasked = decision.selected if decision.edited is not None else changed
        if decision.edited is not None:
            new = send(unmasked, canvas.device).view(-1)[place]
            canvas.step.view(-1).index_copy_(0, cell, taken.where(new, canvas.step.view(-1)[cell]))
        else:
            update(canvas.step, taken, cell)
        if self.settings.scores:
            update(canvas.confidence, choice.confidence, cell)
            update(canvas.entropy, choice.entropy, cell)
        if self.home.type == "cpu" and self.planner.scheduled:
            self._mark(decision.selected)

    def _cells(self) -> tuple[Tensor, Tensor]:
        """Int64 `[N, B]` on the host, the canvas cell of each position of the blocks, and bool, whether it is one."""
        assert self.due is not None
        offset = torch.arange(self.due.masked.shape[1])
        table = torch.tensor([[row.lines[0], row.start, row.stop - row.start] for row in self.rows])
        line, start, size = (part[:, None] for part in table.unbind(1))
        inside = offset < size
        return (line * self.canvas.width + start + offset).where(inside, line * self.canvas.width + start), inside

    def _take_back(self, revised: Tensor) -> None:
        """Mask positions, bool `[N, B]`, again, on the canvas and in the trace."""
        cells, inside = self._cells()
        copies = [cells]
        if self.settings.cfg_scale:
            apart = torch.tensor([row.lines[1] - row.lines[0] for row in self.rows])[:, None]
            copies.append(cells + apart * self.canvas.width)
        at = send(cells, self.canvas.device)
        back = revised & send(inside, self.canvas.device)
        for copy in copies:
            flat, where = self.canvas.tokens.view(-1), send(copy, self.canvas.device)
            flat[where[back]] = self.model.mask_token_id
        for target, blank in ((self.canvas.step, -1), (self.canvas.confidence, 0), (self.canvas.entropy, 0)):
            target.view(-1)[at[back]] = blank

    def _mark(self, changed: Tensor) -> None:
        """Note on the host that tokens changed, bool `[N, B]`, whose keys and values are those of before."""
        cells, _ = self._cells()
        for copy in range(len(self.rows[0].lines)):
            apart = torch.tensor([row.lines[copy] - row.lines[0] for row in self.rows])[:, None]
            self.canvas.stale.view(-1)[(cells + apart * self.canvas.width)[changed]] = True

    def _told(self, decision: Decision) -> Step:
        """The step as whoever watches is told of it."""
        cells, inside = self._cells()
        at = send(cells, self.canvas.device)
        nothing = decision.selected & False
        blank = send(~inside, self.canvas.device)
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
            PlannerError: the planner unmasked what it may not.
        """
        assert self.state is not None
        assert self.due is not None
        before = self.due.masked
        self.state, due = settle(self.planner, self.state, *self.flags)
        if due.flags and bool(due.flags[0].any()):
            raise PlannerError(
                f"{named(self.planner)}: select returns positions that are not masked, or that it did not want"
            )
        if not self.planner.scheduled and self.canvas.pool is not None:
            self._mark((before != due.masked) | (due.flags[1] if len(due.flags) > 1 else False))
        self.due, self.flags = Due(due.wanted, due.masked, ()), ()
        return (~due.wanted.any(dim=1)).nonzero()[:, 0].tolist()


def _moved(block: BlockState, device: torch.device) -> BlockState:
    return replace(block, **{name: send(value, device) for name, value in vars(block).items()})


def _wide(block: BlockState, width: int) -> BlockState:
    """The same state in blocks of at least a width; what is added is beyond every row's length."""
    more = width - block.masked.shape[1]
    if more <= 0:
        return block
    wide = {name: pad(value, (0, more)) for name, value in vars(block).items() if value.dim() == 2}
    return replace(block, **wide | {"unmasked_at": pad(block.unmasked_at, (0, more), value=-1)})


def _taller(block: BlockState, count: int) -> BlockState:
    """The same state and so many rows more, of zeros."""
    if count == 0:
        return block
    return replace(
        block,
        **{
            name: pad(value, (0, 0, 0, count) if value.dim() == 2 else (0, count))
            for name, value in vars(block).items()
        },
    )


def _put(block: BlockState, at: Tensor, other: BlockState) -> BlockState:
    """The state with the rows `at` replaced by those of another state."""
    return replace(
        block, **{name: value.index_copy(0, at, getattr(other, name)) for name, value in vars(block).items()}
    )


def rows_of(groups: Iterable[Group]) -> list[Row]:
    """All rows of some groups."""
    return [row for group in groups for row in group.rows]
