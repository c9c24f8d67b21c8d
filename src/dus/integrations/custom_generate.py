"""transformers' `model.generate`: any planner, by its hook `custom_generate`.

    from dus.integrations.custom_generate import custom_generate

    model.generate(**inputs, custom_generate=custom_generate, planner="dus", block_length=32, max_new_tokens=256)

The model is one that `dus.load(…).model` gives, or that `AutoModelForMaskedLM` does once `dus.denoisers` is imported:
transformers does the preparing of inputs as always, and the loop is `dus.generate`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
    MaxLengthCriteria,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from dus.decoding import GenerationError, generate
from dus.denoisers import MaskedLM, NativeLM
from dus.planners import Planner

_KNOWN = (EosTokenCriteria, MaxLengthCriteria, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)


def custom_generate(
    model: Any,
    input_ids: Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: GenerationConfig,
    planner: str | Planner = "dus",
    block_length: int | str | None = None,
    seed: int | None = None,
    cache: Literal["auto", "none", "prefix", "dual", "block", "touched"] = "auto",
    **others: Any,
) -> Tensor:
    """What `model.generate` calls once it has prepared its inputs.

    Args:
        model: A masked language model of a family known here.
        input_ids: Int64 `[N, L]`, the prompts.
        logits_processor, stopping_criteria, generation_config: As transformers makes them from the arguments of
            `generate`, of which length, end tokens, `do_sample`, `temperature`, `top_p` and `top_k` are followed.
        planner, block_length, seed, cache: The same as in `dus.generate`.
        others: What transformers prepares besides: the `attention_mask`, 0 at padding, is followed; the rest is for
            models that decode from left to right.

    Returns:
        Int64 `[N, L + new]`: prompts and answers, an end token behind an answer that is shorter, then padding.

    Raises:
        GenerationError: An argument of `generate` that this loop can't follow.
        PlannerError: The text names no planner.
    """
    for part in [*logits_processor, *stopping_criteria]:
        if not isinstance(part, _KNOWN):
            raise GenerationError(
                f"{type(part).__name__} is for decoding from left to right; a planner can't follow it"
            )
    if generation_config.num_beams and generation_config.num_beams > 1:
        raise GenerationError(f"num_beams is {generation_config.num_beams}: a planner decodes without beams")
    sampling: dict[str, Any] = {}
    if generation_config.do_sample:
        sampling = {name: getattr(generation_config, name) for name in ("top_p", "top_k")}
        sampling["temperature"] = 1.0 if generation_config.temperature is None else generation_config.temperature
    native = type(model).__module__.startswith("dus.denoisers")
    denoiser = NativeLM(model) if native else MaskedLM(model)
    new = generation_config.max_length - input_ids.shape[1]
    answers = generate(
        denoiser,
        input_ids,
        planner=planner,
        max_new_tokens=new,
        block_length=block_length,
        cache=cache,
        seed=seed,
        attention_mask=others.get("attention_mask"),
        **sampling,
    )
    return torch.cat([input_ids, _filled(answers.tokens, new, generation_config, denoiser).to(input_ids.device)], dim=1)


def _filled(answers: list[Tensor], length: int, generation_config: GenerationConfig, denoiser: MaskedLM) -> Tensor:
    """Int64 `[N, length]`: an end token behind an answer that is shorter, then padding."""
    ends = generation_config.eos_token_id or list(denoiser.eos_token_ids)
    end = ends if isinstance(ends, int) else (ends or [0])[0]
    pad = end if generation_config.pad_token_id is None else generation_config.pad_token_id
    rows = torch.full((len(answers), length), pad)
    for row, answer in zip(rows, answers, strict=True):
        row[: len(answer)] = answer
        row[len(answer) : len(answer) + 1] = end
    return rows
