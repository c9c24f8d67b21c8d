"""SGLang: a decoding algorithm that runs any planner, for its block-diffusion models (LLaDA2, SDAR and SDAR-MoE).

    pip install --no-deps dus-lm    # beside sglang
    echo 'planner: "eb(gamma=1) | spaced(gap=8)"' > planner.yaml
    python -m sglang.launch_server --model-path inclusionAI/LLaDA2.0-mini --trust-remote-code \\
        --dllm-algorithm DUS --dllm-algorithm-config planner.yaml

`dus.integrations.sglang_plugin` tells SGLang of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dus.decoding.sampling import Sampler
from dus.integrations.blocks import Blocks
from dus.planners import Edited, Planner, parse

try:
    from sglang.srt.dllm.algorithm.base import DllmAlgorithm
except ImportError as error:
    raise ImportError(f"the algorithm needs SGLang 0.5.23, with what it needs itself ({error})") from error


class DUS(DllmAlgorithm):
    """Unmasks in each step what a planner selects; greedy, and the mask token is never chosen.

    It works in both of SGLang's modes, with `--dllm-fdfo` and without. The planner's state goes with a block from call
    to call. A step waits for the device once at most, where SGLang's own `LowConfidence` does so always: to learn what
    is masked; under a planner that knows its positions beforehand, it does so at a block's first step only.

    Args:
        config: SGLang's; of `algorithm_config` it reads `planner`, the text of a planner, "dus" where it is missing.

    Raises:
        PlannerError: The text names no planner, or one that can't decode blocks of this length.
        ValueError: `algorithm_config` holds anything else, beside SGLang's own `block_size`.
    """

    supported_architectures = ("LLaDA2MoeModelLM", "SDARForCausalLM", "SDARMoeForCausalLM")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        others = sorted(set(config.algorithm_config) - {"planner", "block_size"})
        if others:
            raise ValueError(f"the algorithm DUS reads `planner` and `block_size`, not {', '.join(map(str, others))}")
        self.planner = parse(config.algorithm_config.get("planner", "dus"))
        self.planner.check(self.block_size)
        self._sampler: Sampler | None = None

    def max_steps(self, block_size: int) -> int:
        """The most steps of a block: the planner's, those that only edit, and one that finds that all is done."""
        rounds = sum(part.rounds for part in _parts(self.planner) if isinstance(part, Edited))
        return (self.planner.num_steps(block_size) or block_size) + rounds + 1

    def step(self, forward_batch: Any, full_logits: Tensor, states: list[Any]) -> list[bool]:
        """Decide one step of each block and write it into `forward_batch.input_ids`, in place as CUDA graphs need it.

        Args:
            forward_batch: SGLang's, of N blocks of `block_size` tokens.
            full_logits: Float `[N * block_size, V]`.
            states: What was carried of each block; None at its first step. Replaced in place.

        Returns:
            Which of the blocks were done before the step, so that their last tokens have been computed.
        """
        ids = forward_batch.input_ids.view(forward_batch.batch_size, self.block_size)
        blocks = self._blocks(forward_batch, ids, states)
        going = blocks.going
        if any(going):
            vocabulary = full_logits.shape[-1]
            nothing = torch.zeros((), dtype=torch.long, device=ids.device).expand(ids.numel())
            sampler = self._sampler = self._sampler or self._greedy(full_logits)
            choice = sampler(full_logits, seed=nothing, row=nothing, position=nothing, step=nothing)
            decision, blocks = blocks.step(choice, ids.clamp(max=vocabulary - 1).long())
            written = decision.selected if decision.edited is None else decision.selected | decision.edited
            tokens = torch.where(written, choice.token.view_as(ids).to(ids.dtype), ids)
            if decision.revised is not None:
                tokens = tokens.masked_fill(decision.revised, self.mask_id)
            ids.copy_(tokens)
        states[:] = [(blocks, row) for row in range(len(states))]
        return [not goes for goes in going]

    def _blocks(self, forward_batch: Any, ids: Tensor, states: list[Any]) -> Blocks:
        """The planner's state of all blocks: carried on, or begun."""
        first = states[0][0] if states[0] is not None else None
        if first is not None and len(states) == len(first.going):
            pairs = (state or (None, None) for state in states)
            if all(blocks is first and at == row for row, (blocks, at) in enumerate(pairs)):
                return first
        parts: list[Any] = [None if state is None else state[0][state[1]] for state in states]
        if None in states:
            masked = ids == self.mask_id
            if forward_batch.dllm_prompt_mask is not None:
                masked = masked & ~forward_batch.dllm_prompt_mask
            start = forward_batch.positions.view(ids.shape)[:, 0].long()
            begun = Blocks.begin(self.planner, masked, start)
            parts = [begun[row] if part is None else part for row, part in enumerate(parts)]
        return Blocks.joined(parts)

    def _greedy(self, logits: Tensor) -> Sampler:
        """What chooses the likeliest token that is no mask."""
        suppress = [self.mask_id] if self.mask_id < logits.shape[-1] else []
        return Sampler(temperature=0.0, top_p=None, top_k=None, suppress=suppress, defer=[], device=logits.device)


def _parts(planner: Planner) -> Iterator[Planner]:
    """The planner and those inside it."""
    yield planner
    for part in planner.parts:
        yield from _parts(part)
