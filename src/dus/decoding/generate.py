"""The public calls: generate, infill, and the generator of steps below them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch

from dus.decoding.answers import check_denoiser
from dus.decoding.blanks import to_blanks
from dus.decoding.prompts import Prompts, to_rows
from dus.decoding.run import Progress, Run
from dus.decoding.settings import GenerationError, Settings, understood, warn_of_idle
from dus.decoding.trace import Generation, Step
from dus.denoisers import Denoiser, from_callable
from dus.planners import Planner


@understood
def generate(
    model: Denoiser,
    prompts: Prompts,
    *,
    planner: str | Planner = "dus",
    max_new_tokens: int = 256,
    block_length: int | str | None = None,
    temperature: float = 0.0,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    cfg_scale: float = 0.0,
    cache: Literal["auto", "none", "prefix", "dual", "block", "touched"] = "auto",
    stop: str | list[str] | None = None,
    suppress_tokens: list[int] | None = None,
    defer_tokens: list[int] | None = None,
    eos: Literal["stop", "ignore"] = "stop",
    samples: int = 1,
    chat: bool | None = None,
    attention_mask: Any = None,
    batch_size: int | None = None,
    first_row: int = 0,
    scores: bool = True,
    progress: Progress = False,
) -> Generation:
    """Answer prompts with a masked diffusion language model.

    Behind each prompt stand `max_new_tokens` masks, which are decoded block by block from left to right; within a block
    the planner says which of them are unmasked at which step. An argument that has no effect, such as `top_p` at
    temperature 0, is a `GenerationWarning` that names what would have one.

    Args:
        model: The denoiser, as `dus.load` returns it.
        prompts: A string, a list of strings, chat messages (dictionaries with `role` and `content`), a list of such
            conversations, a token tensor `[N, L]` or `[L]`, a list of token ids, a list of such lists or tensors, or
            everything that a tokenizer of transformers returns, its attention mask included. A conversation that ends
            with an assistant's turn is continued within that turn. Masks may stand anywhere in token ids and are filled
            in too.
        planner: The rule that says which positions are unmasked when: a planner, or its text, such as
            `dus | deferred(threshold=0.3)`.
        max_new_tokens: The number of masks that are put behind each prompt.
        block_length: The number of neighbouring positions that are decoded together; None means 32. Blocks begin at the
            first mask, and the last one may be shorter. `auto`, or `auto(bits=8, shortest=4, longest=32)`, chooses a
            length for each row before each block: the longest whose positions have at most that many bits of entropy
            in total. `adablock(ids='198', tau=0.3, window=64, otherwise=32)` ends it at the surest of these tokens.
            Leave it out for a block-causal model, whose blocks are its own.
        temperature: The sampling temperature; 0 takes the likeliest token.
        top_p: Sample from the likeliest tokens that together have this probability; None samples from all.
        top_k: Sample from this many of the likeliest tokens; None samples from all.
        seed: The seed that tokens are sampled with. None picks one, which the result reports.
        cfg_scale: The scale s of classifier-free guidance, `u + (1 + s) (c - u)`, where the logits u do not see the
            prompt and c do. 0 switches it off; above 0 every step takes two denoiser calls.
        cache: How much is recomputed at each step. `none` recomputes everything and is exact. `prefix` and `dual` are
            the approximations of Fast-dLLM; `block` and `touched` keep more and are faster, see `dus.decoding.caches`.
            With block-causal attention `block` is exact. `auto` means `none` for a model with full attention and
            `block` for a block-causal one.
        stop: A string, or a list of strings; an answer ends before the first of them.
        suppress_tokens: Ids of tokens that are never written.
        defer_tokens: Ids of tokens that may be written, but count as wholly uncertain, so that planners that go by
            confidence write them last. Giving its end tokens keeps LLaDA-Instruct from ending too early.
        eos: `stop` ends an answer at its first end token, once the block that holds it is decoded. `ignore` writes all
            `max_new_tokens`.
        samples: The number of answers to each prompt; they follow each other in the result.
        chat: Whether strings are put into the model's chat template as a user's turn; None does so if the model has a
            template. Use False for base models.
        attention_mask: The mask of prompts that are padded token ids, on the left or on the right: 0 where padding
            stands, else 1.
        batch_size: The most rows that are decoded together; None sets no limit. Where memory is short there are fewer,
            and a `BatchWarning`. The result depends on it by rounding alone, which in float32 hardly ever decides
            anything, and in bfloat16 decides about one answer in thirty: to compare, use float32 or one batch size.
        first_row: The place of the first prompt in a longer list that these prompts are a part of. Random draws depend
            on it, so that parts decoded apart give what the whole list would.
        scores: Whether the trace keeps confidence and entropy.
        progress: True shows a progress bar; a function is called with each `Step`.

    Returns:
        The answers as tokens and text, what they cost, and which step unmasked which position.

    Raises:
        GenerationError: Something cannot be done as asked; the message says what would be right.
        PlannerError: The planner's text cannot be read.
        DenoiserError: The model is no denoiser.
    """
    settings = Settings(
        planner=planner,
        max_new_tokens=max_new_tokens,
        block_length=block_length,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        cfg_scale=cfg_scale,
        cache=cache,
        stop=stop,
        suppress_tokens=suppress_tokens,
        defer_tokens=defer_tokens,
        eos=eos,
        scores=scores,
    )
    rows = to_rows(model, prompts, chat=chat, attention_mask=attention_mask)
    run = Run(model, rows, settings, batch_size, samples, first_row)
    warn_of_idle(settings, seed=seed, samples=samples)
    return run.watched(progress).result()


@understood
def infill(
    model: Denoiser,
    text: str | list[str],
    *,
    end_tokens: bool = False,
    samples: int = 1,
    batch_size: int | None = None,
    progress: Progress = False,
    **settings: Any,
) -> Generation:
    """Fill in the blanks of a text: each `[MASK]`, or mask token of the tokenizer, becomes one token.

    Args:
        model: A denoiser with a tokenizer.
        text: The text, or a list of texts. Everything around the blanks stays as it is.
        end_tokens: Whether end tokens may be written. These models fill room that they do not need with them.
        samples: The number of fillings of each text; they follow each other in the result.
        batch_size: The most rows that are decoded together, as for `generate`.
        progress: True shows a progress bar; a function is called with each `Step`.
        settings: Keyword arguments of `generate` that say how to decode: `planner`, `block_length` to `cache`,
            `suppress_tokens`, `defer_tokens` and `scores`.

    Returns:
        The whole texts, filled in, as `.text` and `.tokens`. Tokens that the tokenizer puts before and behind every
        text are part of `.tokens` only.

    Raises:
        GenerationError: A text has no blank, or something cannot be done as asked.
        PlannerError: The planner's text cannot be read.
        DenoiserError: The model is no denoiser.
    """
    if nothing := {"max_new_tokens", "stop", "eos"} & settings.keys():
        raise GenerationError(f"infill takes no {min(nothing)}: it fills in every blank of the text, and nothing else")
    check_denoiser(model)
    asked = Settings(**settings, max_new_tokens=0, eos="ignore")
    blanks = list(map(partial(to_blanks, model), text if isinstance(text, list | tuple) else [text]))
    if not blanks:
        raise GenerationError("there is no text to fill in: the list is empty")
    if not end_tokens:
        ends = [token for token in model.eos_token_ids if token < model.vocab_size]
        asked = replace(asked, suppress_tokens=[*(asked.suppress_tokens or []), *ends])
    run = Run(model, [each.row for each in blanks], asked, batch_size, samples)
    warn_of_idle(asked, seed=settings.get("seed"), samples=samples)
    return run.watched(progress).result(whole=[(each.first, each.last) for each in blanks for _ in range(samples)])


@understood
def steps(
    model: Denoiser, prompts: Prompts, *, chat: bool | None = None, attention_mask: Any = None, **settings: Any
) -> Iterator[Step]:
    """The generator that `generate` exhausts: one `Step` after each denoiser call, for whoever wants to watch.

    Args:
        model: The denoiser, as `dus.load` returns it.
        prompts, chat, attention_mask: The prompts, as for `generate`.
        settings: Keyword arguments of `generate` that say how to decode: `planner` to `eos`, and `scores`.

    Raises:
        GenerationError: Something cannot be done as asked; the message says what would be right.
        PlannerError: The planner's text cannot be read.
        DenoiserError: The model is no denoiser.
    """
    asked = Settings(**settings)
    run = Run(model, to_rows(model, prompts, chat=chat, attention_mask=attention_mask), asked)
    warn_of_idle(asked, seed=settings.get("seed"))
    return (step for step in run.steps() if step)


def positions_by_step(planner: Planner, block_length: int) -> list[list[int]]:
    """For each step the positions, from 0, that a scheduled planner writes in a masked block.

    The loop itself is asked, on a model that knows nothing.
    """
    model = from_callable(lambda canvas: torch.zeros(*canvas.shape, 2), mask_token_id=1, vocab_size=2)
    generation = generate(
        model,
        [torch.tensor([0])],
        planner=planner,
        max_new_tokens=block_length,
        block_length=block_length,
        scores=False,
    )
    step = generation.trace.step[0]
    return [(step == at).nonzero()[:, 0].tolist() for at in range(generation.nfe[0])]
