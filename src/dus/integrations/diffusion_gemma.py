"""transformers' DiffusionGemma: a sampler that accepts by any planner.

    from dus.integrations.diffusion_gemma import planned

    with planned(model, "eb(gamma=0.1443) | spaced(gap=8)"):
        model.generate(**inputs)

Its own sampler is EB on the whole canvas, with a bound in nats: `entropy_bound=0.1` is `eb(gamma=0.1443)`, in bits.
There what was accepted at one step is judged anew at the next. That holds for `eb` here too, alone and inside other
planners: a position stands as long as the bound over the whole canvas lets it, and its token is drawn again at each
step. Under any other planner what was accepted stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dus.decoding.planning import decide
from dus.decoding.sampling import Choice
from dus.integrations.blocks import Blocks
from dus.planners import BlockState, EntropyBounded, Planner, PlannerError, Wrapper, parse

try:
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import EntropyBoundSampler
except ImportError:
    raise ImportError("DiffusionGemma needs transformers 5.23 or later") from None


class PlannedSampler(EntropyBoundSampler):
    """Accepts on the canvas what a planner selects, and draws the rest anew.

    Planners see the logits as the original does, after the temperature of the step, and the tokens that were drawn.

    Args:
        planner: The rule; it sees a canvas as one block.
        original: The sampler in whose place it stands; its `entropy_bound` is not read.

    Attributes:
        accepted_token_mask: Bool `[N, L]`, what stands on the canvas; None before the first step.

    Raises:
        PlannerError: The planner edits tokens or takes them back, which a canvas without masks has no place for.
    """

    def __init__(self, planner: Planner, original: EntropyBoundSampler) -> None:
        if planner.edits or planner.revises:
            raise PlannerError(f"{planner}: DiffusionGemma's sampler accepts tokens, and can't edit or revise them")
        planner.check(original.canvas_length, original.vocab_size)
        self.planner, self.bound = planner, _bound(planner)
        self.canvas_length, self.vocab_size = original.canvas_length, original.vocab_size
        self.accepted_token_mask: Any = None
        self._blocks: Blocks | None = None

    def initialize_canvas(self, batch_size: int, device: torch.device) -> Tensor:
        """Int64 `[N, L]`: random tokens, of which none is accepted."""
        self.accepted_token_mask = self._blocks = None
        return super().initialize_canvas(batch_size, device)

    def renoise_canvas(self, accepted_canvas: Tensor, cur_step: Any) -> Tensor:
        """The canvas, int64 `[N, L]`, with random tokens where nothing is accepted.

        Args:
            accepted_canvas: Int64 `[N, L]`, what `accept_canvas` returned.
            cur_step: Not read.
        """
        noise = super().initialize_canvas(len(accepted_canvas), accepted_canvas.device)
        return torch.where(self.accepted_token_mask, accepted_canvas, noise)

    def accept_canvas(self, current_canvas: Tensor, denoiser_canvas: Tensor, logits: Tensor, cur_step: Any) -> Tensor:
        """The canvas, int64 `[N, L]`, with the tokens that are accepted now.

        Args:
            current_canvas: Int64 `[N, L]`, what the model saw.
            denoiser_canvas: Int64 `[N, L]`, the tokens drawn from its logits.
            logits: Float `[N, L, V]`.
            cur_step: Not read.
        """
        flat = logits.float().flatten(0, 1)
        choice = Choice(flat, flat.amax(dim=-1), denoiser_canvas.flatten(), None)
        if self._blocks is None:
            self._blocks = Blocks.begin(self.planner, torch.ones_like(current_canvas, dtype=torch.bool))
        if self.bound is not None:
            self._blocks = self._judged(self.bound, self._blocks, choice, current_canvas)
            self.accepted_token_mask = ~self._blocks.state.masked
            return torch.where(self.accepted_token_mask, denoiser_canvas, current_canvas)
        decision, self._blocks = self._blocks.step(choice, current_canvas)
        self.accepted_token_mask = ~self._blocks.due.masked.to(logits.device)
        return torch.where(decision.selected, denoiser_canvas, current_canvas)

    def _judged(self, bound: EntropyBounded, blocks: Blocks, choice: Choice, canvas: Tensor) -> Blocks:
        """The step under EB, where a position stands as long as the bound over the whole canvas lets it."""
        state, everywhere = blocks.state, torch.ones_like(canvas, dtype=torch.bool)
        prediction = blocks.prediction(choice, canvas, everywhere)
        passed = bound.select(BlockState.begin(everywhere), prediction)
        new = decide(self.planner, state, state.masked, prediction).selected & passed
        return replace(blocks, state=state.after(new, ~state.masked & ~passed, prediction.confidence))


def _bound(planner: Planner) -> EntropyBounded | None:
    """The EB inside a planner, if that is what selects."""
    while isinstance(planner, Wrapper):
        planner = planner.inner
    return planner if isinstance(planner, EntropyBounded) else None


@contextmanager
def planned(model: Any, planner: str | Planner) -> Iterator[None]:
    """Within it, `model.generate` accepts tokens by a planner.

    Args:
        model: A `DiffusionGemmaForBlockDiffusion`.
        planner: A planner, or its text.

    Raises:
        PlannerError: The text names no planner, or one that can't be used here; in `generate`, where it takes more
            steps than `max_denoising_steps`, or transformers would compile the sampler.
    """
    rule, prepare = parse(planner), model._prepare_sampler

    def prepared(generation_config: Any) -> PlannedSampler:
        original = prepare(generation_config)
        steps, most = rule.num_steps(original.canvas_length), generation_config.max_denoising_steps
        if steps is not None and steps > most:
            raise PlannerError(f"{rule} takes {steps} steps on a canvas: max_denoising_steps={most} is too few")
        return PlannedSampler(rule, original)

    def uncompiled(*args: Any) -> None:
        raise PlannerError("a planner is not compiled with the sampler: disable_compile=True would be right")

    model._prepare_sampler, model._compile_functions = prepared, uncompiled
    try:
        yield
    finally:
        del model._prepare_sampler, model._compile_functions
