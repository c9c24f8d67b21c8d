"""The live view: a block filling in, step by step."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from dus.cli.colours import DIM, MASK, coloured, legend
from dus.writing.colours import block_steps

if TYPE_CHECKING:
    from dus.decoding import Generation, Step
    from dus.decoding.settings import Settings
    from dus.denoisers import MaskedLM

_BELOW = 4  # lines of the screen under the text


class Watch:
    """Shows one row while it is decoded: a `progress` function of `dus.generate`, and a context manager.

    Where the output is no terminal, only the final state is printed.

    Args:
        console: where to draw.
        model: the denoiser, whose tokenizer reads the tokens.
        settings: of the generation.
        pause: seconds to wait after each step, on a terminal; it does not count, nor does drawing.
    """

    def __init__(self, console: Console, model: MaskedLM, settings: Settings, *, pause: float = 0.0) -> None:
        self.console, self.model, self.settings = console, model, settings
        self.pause = pause if console.is_terminal else 0.0
        self.live = Live(console=console, auto_refresh=False)
        self.steps: list[int] = []
        self.tokens: list[int] = []
        self.longest = min(settings.longest, settings.max_new_tokens)
        self.planned = settings.rule.num_steps(self.longest)
        self.start, self.taken, self.calls, self.waited = 0, 0, 0, 0.0
        self.began = time.perf_counter()

    def __enter__(self) -> Watch:
        self.live.start()
        self.began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.live.stop()
        if not self.console.is_terminal:
            self.console.line()

    @property
    def seconds(self) -> float:
        """Since the beginning, without the time for drawing."""
        return time.perf_counter() - self.began - self.waited

    def __call__(self, step: Step) -> None:
        """Draw what the step led to."""
        start, hidden = max(step.starts[0], 0), max(-step.starts[0], 0)
        self.taken = self.taken + 1 if start == self.start and self.calls else 0
        self.start = start
        self.calls += 1 if self.settings.cfg_scale == 0 else 2
        end = step.starts[0] + step.lengths[0]
        self.steps += [-1] * (end - len(self.steps))
        self.tokens[start:] = step.tokens[0, hidden : step.lengths[0]].tolist()
        for changed, value in ((step.remasked, -1), (step.unmasked, self.taken)):
            for offset in changed[0].nonzero()[:, 0].tolist():
                self.steps[step.starts[0] + offset] = value
        drawn = time.perf_counter()
        took = self.seconds
        coming = max(self.settings.max_new_tokens - end, 0)
        body = self._in_sight(self._coloured(self.tokens, self.steps), coming)
        written = sum(at >= 0 for at in self.steps)
        self.live.update(self._frame(body, written / self.calls, took), refresh=True)
        time.sleep(self.pause)
        self.waited += time.perf_counter() - drawn

    def finish(self, generation: Generation) -> None:
        """Draw the answer, which ends before its end token."""
        seconds = self.seconds
        self.calls = generation.nfe[0]
        tokens = generation.tokens[0].tolist()
        steps = block_steps(generation.trace.step[0], generation.trace.blocks[0])[: len(tokens)]
        self.live.update(self._frame(self._coloured(tokens, steps), generation.tpf[0], seconds))

    def _coloured(self, tokens: list[int], steps: list[int]) -> Text:
        """The tokens as a text; block by block, as those of finished blocks need not be decoded again."""
        model, size, text = self.model, self.settings.longest, Text()
        mask, ends = model.mask_token_id, model.eos_token_ids
        for at in range(0, len(tokens), size):
            block, written = tokens[at : at + size], steps[at : at + size][: len(tokens) - at]
            text.append_text(coloured(model.tokenizer, block, written, self.scale, mask=mask, ends=ends))
        return text

    @property
    def scale(self) -> int:
        """How many steps the colours tell apart: those of the plan, or those that a block has taken so far."""
        return self.planned or max(self.steps, default=0) + 1

    def _in_sight(self, text: Text, coming: int) -> RenderableType:
        """The lines around the block in progress, as many as the screen has room for.

        Args:
            text: the answer up to the end of the block.
            coming: masks after it.
        """
        width, room = self.console.width, max(self.console.height - _BELOW, 1)
        last = max(len(text.wrap(self.console, width)), room)
        lines = text.append(MASK * coming, DIM).wrap(self.console, width)
        return Group(*lines[last - room : last]) if self.console.is_terminal else text

    def _frame(self, body: RenderableType, tpf: float, seconds: float) -> RenderableType:
        key = legend(self.scale)
        figures = Text(f"NFE {self.calls}   TPF {tpf:.2f}   {seconds:.2f} s   {self.settings.rule}", style="bold")
        for line in (key, figures):
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(body, Text(), key, figures)
