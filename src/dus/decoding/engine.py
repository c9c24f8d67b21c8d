"""The engine: a fixed number of places for rows that stand at different blocks, and one denoiser call for all of them.

engine = Engine(model, rows=8, cache="block")
row = engine.submit(tokens, Settings(planner="dus", max_new_tokens=64))
while len(engine):
    for event in engine.step():
        ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

import torch
from torch import Tensor

from dus.decoding.adablock import AdaBlock
from dus.decoding.answers import Answers, check_denoiser
from dus.decoding.caches import send
from dus.decoding.call import logits_of
from dus.decoding.canvas import Canvas, Row
from dus.decoding.groups import Group
from dus.decoding.sampling import Peaks, look
from dus.decoding.settings import CACHES, GenerationError, Settings
from dus.decoding.trace import BlockDone, Decoded, Event, Failed
from dus.denoisers import Denoiser
from dus.planners import PlannerError


def cache_mode(model: Denoiser, cache: str) -> str:
    """The cache mode that `auto` comes down to; any other one as it is.

    Raises:
        GenerationError: The mode is unknown, or does not suit the denoiser's attention.
    """
    if cache not in CACHES:
        raise GenerationError(f"cache is {cache!r}, known are {', '.join(CACHES)}")
    if model.block_length is None:
        return "none" if cache == "auto" else cache
    if cache in ("auto", "block"):
        return "block"
    if cache != "none":
        raise GenerationError(
            f"cache is {cache!r}, but this model is block-causal, where cache='block' is exact: leave it out"
        )
    return cache


class Engine:
    """Decodes rows that come and go; each stands at a block of its own, under a planner and settings of its own.

    A call of `step` is one denoiser call for all rows that are in a place. A row that ends or is cancelled frees its
    place at once, and the next one waiting takes part in the very next call. What a row gets does not depend on the
    rows beside it or on when it came, but for rounding: in float32 that decides nothing away from near ties, in
    bfloat16 now and then.

    Args:
        model: The denoiser.
        rows: The number of rows that are decoded together. A row under guidance takes two lines of the canvas, but one
            place.
        cache: The cache mode, as for `dus.generate`; it is the same for all rows.
        watch: Whether `step` returns each `Step` and each finished block, beside the rows that are done.

    Attributes:
        calls: The number of denoiser calls so far.
        columns: The number of canvas columns that these computed, counted over rows.

    Raises:
        GenerationError: The number of rows or the cache mode cannot be meant.
        DenoiserError: The model is no `Denoiser`.
    """

    def __init__(self, model: Denoiser, rows: int = 64, cache: str = "auto", *, watch: bool = True) -> None:
        check_denoiser(model)
        if rows < 1:
            raise GenerationError(f"rows is {rows}, at least one place is needed")
        self.model, self.places, self.watch = model, rows, watch
        self.cache = cache_mode(model, cache)
        self.canvas = Canvas(model, self.cache)
        self.groups: dict[Hashable, Group] = {}
        self.waiting: deque[Row] = deque()
        self.known: Answers | None = None
        self.unchecked: list[Peaks] = []
        self.calls = self.columns = self.submitted = self.longest = 0

    def __len__(self) -> int:
        """How many rows are in a place or wait for one."""
        return len(self.waiting) + len(self._inside())

    def _inside(self) -> list[Row]:
        """The rows that are in a place."""
        return [row for group in self.groups.values() for row in group.rows]

    def submit(self, tokens: Tensor, settings: Settings, *, draw: int | None = None) -> int:
        """Put a row into the queue; it takes part in the next call if a place is free.

        Args:
            tokens: The prompt, an int64 1-D tensor, in which masks may stand anywhere.
            settings: The settings to decode it by, whose cache mode is "auto" or the engine's own.
            draw: The index of the row in the user's list, on which random draws depend; None takes the number of the
                row.

        Returns:
            The number that events name the row by.

        Raises:
            GenerationError: Something cannot be done as asked; the message says what would be right.
            PlannerError: The planner cannot decode blocks of this length.
        """
        if self.known is None or self.known.settings is not settings:
            self.check(settings)
            self.known = Answers(self.model, settings)
        number = self.submitted
        row = Row.of(self.model, tokens, self.known, number, number if draw is None else draw)
        self.submitted += 1
        self.longest = max(self.longest, len(row.tokens))
        self.waiting.append(row)
        return number

    def cancel(self, number: int) -> None:
        """Take a row out, wherever it is; its place is free at once.

        Raises:
            GenerationError: No such row waits or is in a place.
        """
        for row in self.waiting:
            if row.number == number:
                self.waiting.remove(row)
                return
        for row in self._inside():
            if row.number == number:
                self._leave([row])
                return
        raise GenerationError(f"no row {number} is in the engine: it was never submitted, or it has ended")

    def step(self) -> list[Event]:
        """Make one denoiser call for all rows in a place, and tell what came of it.

        Returns:
            For each group of rows its `Step` and for each finished block a `BlockDone`, if these are watched; a
            `Decoded` for each row that is done, a `Failed` for each that cannot go on.
        """
        self._admit()
        groups = [group for group in self.groups.values() if group.rows]
        events: list[Event] = []
        if not groups:
            return events
        wanted = [group.wants() for group in groups]
        self.calls += 1
        logits, columns = logits_of(self.model, self.canvas, groups, wanted)
        self.columns += columns
        parts = logits.split([len(part.rows) for part in wanted])
        del logits
        for group, part, mine in zip(groups, parts, wanted, strict=True):
            try:
                peaks, told = group.advance(part, mine, watch=self.watch)
            except PlannerError as error:
                events += self._fail(group, error)
                continue
            self.unchecked.append(peaks)
            events += [told] if told is not None else []
        return events + self._close([group for group in groups if group.rows])

    def check(self, settings: Settings) -> None:
        """Refuse settings that no row can be decoded with here.

        Raises:
            GenerationError: A setting cannot be meant; the message names it and says what would be right.
            PlannerError: The planner cannot decode blocks of this length, or tokens of this vocabulary.
        """
        model, size = self.model, self.model.vocab_size
        settings.rule.check(model.block_length or settings.longest, size)
        if isinstance(settings.auto, AdaBlock) and settings.auto.ids[-1] >= size:
            raise GenerationError(f"adablock ends blocks at token {settings.auto.ids[-1]}, but the model has {size}")
        if settings.cache not in ("auto", self.cache):
            raise GenerationError(f"cache is {settings.cache!r}, but the engine's is {self.cache!r}: leave it out")
        grid = model.block_length
        if grid is not None and settings.block_length not in (None, grid):
            raise GenerationError(
                f"block_length is {settings.block_length!r}, but this model's blocks have {grid} tokens: say "
                f"{grid}, or leave it out"
            )
        for name in ("suppress_tokens", "defer_tokens"):
            for token in getattr(settings, name) or []:
                if not 0 <= token < size:
                    raise GenerationError(f"{name} holds {token}, which is outside the vocabulary, 0 to {size - 1}")
        never = {model.mask_token_id, *(settings.suppress_tokens or [])}
        if sum(token < size for token in never) == size:
            raise GenerationError("suppress_tokens leaves no token that may be written")

    def _admit(self) -> None:
        """Give waiting rows the places that are free."""
        inside = len(self._inside())
        new: dict[Hashable, list[Row]] = {}
        while self.waiting and inside < self.places:
            row = self.waiting.popleft()
            copies = 1 if row.settings.cfg_scale == 0 else 2
            lines = self.places if len(self.canvas.owner) + copies <= self.places else 2 * self.places
            self.canvas.reserve(lines, self.longest)
            self.canvas.put(row)
            row.advance()
            new.setdefault(row.settings.key, []).append(row)
            inside += 1
        for key, rows in new.items():
            if key not in self.groups:
                self.groups[key] = Group(self.model, self.canvas, rows[0].settings)
            self.groups[key].begin(rows)

    def _close(self, groups: list[Group]) -> list[Event]:
        """Find the rows whose block is finished; they go on to their next one, or end."""
        events: list[Event] = []
        finished: list[tuple[Group, list[Row]]] = []
        for group in groups:
            try:
                finished.append((group, [group.rows[index] for index in group.settle()]))
            except PlannerError as error:
                events += self._fail(group, error)
        rows = [row for _, mine in finished for row in mine]
        if not rows:
            return events
        lines = send(torch.tensor([row.lines[0] for row in rows]), self.canvas.device)
        tokens, errors = look(self.unchecked, self.canvas.tokens[lines])
        self.unchecked.clear()
        failed = [row for row in self._inside() if row.number in errors]
        events += [Failed(row.number, errors[row.number]) for row in failed]
        leaving, done = list(failed), {}
        for row, line in zip(rows, tokens, strict=True):
            if row in failed:
                continue
            row.ends.append(row.stop - row.origin)
            end = row.end
            written, masked = line[row.origin : end], row.masked[row.origin : end]
            if self.watch:
                events.append(BlockDone(row.number, written, masked))
            if end >= row.limit or row.answers.stopped(written, masked) or not row.advance():
                done[row] = line
        events += self._decoded(done)
        leaving += done
        self._leave(leaving)
        for group, mine in finished:
            if again := [row for row in mine if row not in leaving]:
                group.begin(again)
        return events

    def _decoded(self, done: dict[Row, Tensor]) -> list[Decoded]:
        """The finished rows, whose tokens are `[W]` on the host; what the trace keeps comes in one transfer.

        There steps are float32, which holds them up to 2^24 as they are.
        """
        if not done:
            return []
        canvas = self.canvas
        lines = send(torch.tensor([row.lines[0] for row in done]), canvas.device)
        kept = (canvas.step, canvas.confidence, canvas.entropy)
        traces = torch.stack([each[lines].float() for each in kept], dim=1).cpu()
        found = []
        for (row, tokens), (step, confidence, entropy) in zip(done.items(), traces, strict=True):
            here = slice(row.origin, row.end)
            found.append(
                Decoded(
                    row=row.number,
                    tokens=tokens[here].clone(),
                    masked=row.masked[here],
                    step=step[here].long(),
                    confidence=confidence[here].clone(),
                    entropy=entropy[here].clone(),
                    steps=row.taken,
                    ends=[min(stop, row.end - row.origin) for stop in row.ends],
                )
            )
        return found

    def _fail(self, group: Group, error: Exception) -> list[Event]:
        """Let all rows of a group go, whose planner broke its contract."""
        events: list[Event] = [Failed(row.number, error) for row in group.rows]
        self._leave(list(group.rows))
        return events

    def _leave(self, rows: list[Row]) -> None:
        """Free the places of some rows."""
        for row in sorted(rows, key=lambda row: -row.lines[0]):
            self.canvas.drop(row)
        for key, group in list(self.groups.items()):
            group.keep([index for index, row in enumerate(group.rows) if row not in rows])
            if not group.rows:
                del self.groups[key]
