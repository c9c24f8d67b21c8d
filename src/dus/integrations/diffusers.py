"""diffusers: a scheduler that decodes by any planner, for `LLaDA2Pipeline` and `DiffusionGemmaPipeline`.

    from diffusers import LLaDA2Pipeline
    from dus.integrations.diffusers import DUSScheduler

    pipe = LLaDA2Pipeline(model=model, tokenizer=tokenizer, scheduler=DUSScheduler(planner="dus"))
    pipe("Why is the sky blue?", num_inference_steps=5, editing_threshold=None)

It stands where `BlockRefinementScheduler` does. A count of steps that a planner knows beforehand has to be the one that
is asked for; under any other planner the last of the steps commits what is left.
"""

from __future__ import annotations

import warnings
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from dus.decoding.sampling import NEVER, Choice
from dus.decoding.settings import GenerationWarning
from dus.integrations.blocks import Blocks
from dus.planners import Planner, parse

try:
    from diffusers import BlockRefinementScheduler, LLaDA2Pipeline
    from diffusers.configuration_utils import register_to_config
    from diffusers.schedulers.scheduling_block_refinement import BlockRefinementSchedulerOutput
except ImportError:
    raise ImportError("the scheduler needs diffusers 0.42: pip install 'dus-lm[diffusers]'") from None


class DUSScheduler(BlockRefinementScheduler):
    """Commits in each step what a planner selects; everything else is `BlockRefinementScheduler`'s.

    Planners see the probabilities at temperature 1, as everywhere in dus, and the mask token is never chosen. In the
    output, a position that a planner masks again counts as edited. What a pipeline hands over as `threshold` is not
    read: it is a field of planners such as `cb(tau=0.7)`.

    Args:
        planner: The text of a planner, such as `eb(gamma=1) | spaced(gap=8)`.
        block_length: Positions of a block, where `set_timesteps` is not told; a pipeline tells it.
        editing_threshold: The probability that another token has to exceed to replace one that stands, where `step` is
            not told; None or 0 replaces nothing. A planner that edits, such as `cb | edited`, has its own.

    Raises:
        PlannerError: The text names no planner.
    """

    @register_to_config
    def __init__(self, planner: str = "dus", block_length: int = 32, editing_threshold: float | None = None) -> None:
        self.planner: Planner = parse(planner)
        self.register_to_config(planner=str(self.planner))
        self.set_timesteps(self.planner.num_steps(block_length) or block_length, block_length=block_length)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None, block_length: int | None = None
    ) -> None:
        """Take a number of steps a block.

        Args:
            num_inference_steps: The steps; as many as the planner takes, where it knows that.
            device: The device of the timesteps.
            block_length: Positions of a block; None is the configured number.

        Raises:
            ValueError: The planner takes another number of steps, or can't decode blocks of this length.
        """
        length = self.config.block_length if block_length is None else block_length
        if min(num_inference_steps, length) < 1:
            raise ValueError(f"{num_inference_steps} steps in a block of {length}: at least 1 is needed of each")
        self.planner.check(length)
        known = self.planner.num_steps(length)
        if known is not None and num_inference_steps != known:
            raise ValueError(
                f"the planner {self.planner} takes {known} steps in a block of {length}: num_inference_steps={known} "
                f"would be right, not {num_inference_steps}"
            )
        self.num_inference_steps = num_inference_steps
        self.timesteps = torch.arange(num_inference_steps - 1, -1, -1, device=device)
        self._blocks: Blocks | None = None

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        *,
        mask_token_id: int | None = None,
        temperature: float = 0.0,
        top_p: float | None = None,
        top_k: int | None = None,
        sampling_method: str = "auto",
        threshold: float | None = None,
        editing_threshold: float | None = None,
        minimal_topk: int | None = None,
        prompt_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> BlockRefinementSchedulerOutput | tuple[Tensor, ...]:
        """Sample tokens, commit those that the planner selects and, where asked, replace some that stand.

        Args:
            model_output: Float `[N, B, V]`, the logits of the block.
            timestep: The step in this block; a block begins at 0.
            sample: Int64 `[N, B]`, the block's tokens.
            mask_token_id: The mask token; None for models without one, where what is not committed is drawn anew.
            temperature, top_p, top_k, sampling_method, generator: How tokens are sampled, as in diffusers.
            threshold: Not read; a warning where it is not the pipeline's default.
            editing_threshold: The threshold of edits; None takes the configured one, see the class.
            minimal_topk: None or 1; a planner commits at least one token a step.
            prompt_mask: Bool `[B]`, True at the prompt, which is never replaced.
            return_dict: Whether the output is a `BlockRefinementSchedulerOutput` or its fields in a tuple.

        Raises:
            ValueError: An argument that the planner leaves no place for.
        """
        replacing = self._understood(threshold, editing_threshold, minimal_topk)
        index = int(timestep)
        if index == 0 or self._blocks is None or self._blocks.state.masked.shape != sample.shape:
            masked = torch.ones_like(sample, dtype=torch.bool) if mask_token_id is None else sample == mask_token_id
            self.planner.check(sample.shape[1], model_output.shape[-1])
            self._blocks = Blocks.begin(self.planner, masked)
        free = ~self._blocks.due.masked.to(sample.device)
        free = free if prompt_mask is None else free & ~prompt_mask
        logits = _without(mask_token_id, model_output.float())
        multinomial = sampling_method == "multinomial" or (sampling_method == "auto" and temperature != 0)
        tokens, probabilities = self._sample_from_logits(
            logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator, use_multinomial=multinomial
        )
        flat = logits.flatten(0, 1)
        choice = Choice(flat, flat.amax(dim=-1), tokens.flatten(), None)
        standing = sample.clamp(max=logits.shape[-1] - 1)
        decision, self._blocks = self._blocks.step(choice, standing, last=self._is_last(index, sample.shape[1]))
        edited = free & False if decision.edited is None else decision.edited
        if replacing is not None:
            edited = free & (tokens != sample) & (probabilities > replacing)
        written = torch.where(decision.selected | edited, tokens, sample)
        if mask_token_id is None:
            noise = torch.randint(logits.shape[-1], sample.shape, device=sample.device, generator=generator)
            written = torch.where(self._blocks.due.masked.to(sample.device), noise, written)
        elif decision.revised is not None:
            written = written.masked_fill(decision.revised, mask_token_id)
        if decision.revised is not None:
            edited = edited | decision.revised
        fields = (written, decision.selected, edited, tokens, probabilities, model_output)
        return BlockRefinementSchedulerOutput(*fields) if return_dict else fields

    def _is_last(self, index: int, block_length: int) -> bool:
        """Whether no step may follow in this block, and the planner does not see to that by itself."""
        return self.planner.num_steps(block_length) is None and index >= self.num_inference_steps - 1

    def _understood(
        self, threshold: float | None, editing_threshold: float | None, minimal_topk: int | None
    ) -> float | None:
        """The threshold for replacing tokens; what has no place beside a planner is refused or warned of."""
        if minimal_topk not in (None, 1):
            raise ValueError(f"minimal_topk={minimal_topk}: how many tokens a step commits is the planner's to say")
        if threshold not in (None, _pipelines_threshold()):
            effect = (
                f"threshold={threshold} has no effect beside the planner {self.planner}; cb(tau={threshold}) has one"
            )
            warnings.warn(effect, GenerationWarning, stacklevel=3)
        editing = self.config.editing_threshold if editing_threshold is None else editing_threshold
        if editing and editing > 0 and self.planner.edits:
            raise ValueError(f"the planner {self.planner} edits by itself: editing_threshold=None would be right")
        return editing if editing and editing > 0 else None

    def check_block_should_continue(
        self,
        step_idx: int,
        masks_remaining: bool,
        editing_enabled: bool,
        editing_transfer_index: Tensor,
        post_steps: int,
        max_post_steps: int,
        finished: Tensor,
    ) -> bool:
        """Whether another call is due in this block: no call is made only to find that no mask is left.

        Args:
            step_idx: The steps of this block; not read, since the planner knows where it is.
            masks_remaining: Whether there were masks before the last step.
            editing_enabled: Whether the pipeline replaces tokens.
            editing_transfer_index: Bool `[N, B]`, the tokens that the last step replaced.
            post_steps: The calls since no mask was left.
            max_post_steps: The most of them.
            finished: Bool `[N]`, rows behind their end token.
        """
        if bool(finished.all()):
            return False
        if self._blocks is not None and any(
            going and not over for going, over in zip(self._blocks.going, finished.tolist(), strict=True)
        ):
            return True
        again = bool(masks_remaining) or (bool(editing_transfer_index.any()) and post_steps <= max_post_steps)
        return editing_enabled and again


def _without(mask_token_id: int | None, logits: Tensor) -> Tensor:
    """The logits `[N, B, V]` with the mask token out of reach; some models have no logit for it."""
    if mask_token_id is None or mask_token_id >= logits.shape[-1]:
        return logits
    logits = logits.clone()
    logits[..., mask_token_id] = NEVER
    return logits


@cache
def _pipelines_threshold() -> Any:
    """What `LLaDA2Pipeline` hands over where its user says nothing."""
    return signature(LLaDA2Pipeline.__call__).parameters["threshold"].default
