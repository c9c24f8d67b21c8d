"""The public calls: generate, infill, and the generator of steps below them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from dus.decoding.answers import check_denoiser
from dus.decoding.arguments import understood, warn_of_idle
from dus.decoding.blanks import to_blanks
from dus.decoding.prompts import Prompts, to_rows
from dus.decoding.run import Progress, Run
from dus.decoding.settings import GenerationError, Settings
from dus.decoding.trace import Generation, Step
from dus.denoisers import Denoiser
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

    Args:
        model: a denoiser, as `dus.load` gives it.
        prompts: a string, a list of strings, chat messages, a list of such conversations, a token tensor `[N, L]`, a
            list of 1-D tensors, or all that a tokenizer of transformers gives, its attention mask included. Masks may
            stand anywhere in tokens; they are filled in too. Where a conversation ends with an assistant's turn, the
            answer goes on with that turn.
        planner: which positions are unmasked when: a planner or its text, such as `dus | deferred(threshold=0.3)`.
        max_new_tokens: masks put behind each prompt.
        block_length: neighbouring positions that are decoded together, 32 where it is None; blocks go left to right
            from the first mask, and the last one may be shorter. A block-causal model has a block of its own, on a grid
            from the row's first token: leave it out there. `auto`, or `auto(bits=8, shortest=4, longest=32)`, chooses a
            length for each row before each block: the longest whose positions' entropies add up to so many bits at
            most.
        temperature: 0 takes the likeliest token.
        top_p: keep the likeliest tokens that make up this probability.
        top_k: keep so many of the likeliest tokens.
        seed: of the draws of tokens; None draws one, which the result tells.
        cfg_scale: classifier-free guidance, `u + (1 + scale) (c - u)` with u blind to the prompt; 0 is off, and
            anything above makes two denoiser calls of each step.
        cache: how much is recomputed at each step. `none` recomputes all and is exact; `prefix` and `dual` are
            Fast-dLLM's approximations; `block` and `touched` keep more and are faster, see `dus.decoding.caches`. With
            block-causal attention `block` is exact. `auto` is `none` with full attention and `block` with block-causal.
        stop: a row ends before the first of these strings in its answer.
        suppress_tokens: ids that are never written.
        defer_tokens: ids that may be written but count as wholly uncertain, so that confident planners write them
            last; against early ends with LLaDA-Instruct, give its end tokens.
        eos: `stop` ends a row after the block that holds its first end token; `ignore` writes the full length.
        samples: answers a prompt, one after the other in the result.
        chat: whether strings are put in the model's chat template; None where it has one. Base models want False.
        attention_mask: of prompts that are token ids, padded on the left or on the right: 0 where padding stands.
        batch_size: rows decoded together at most. Fewer are where memory is short, with a `BatchWarning`: those that an
            estimate lets through (`dus.decoding.memory`), and half of them where the device runs out all the same. The
            result depends on it by rounding alone, which in float32 decides next to nothing, and in bfloat16 one answer
            in thirty or so: compare in float32, or in batches of one size.
        first_row: where these prompts are a part of a longer list, the row in it that the first of them begins: draws
            count rows from there, so that the parts give what the whole list would.
        scores: whether the trace keeps confidence and entropy.
        progress: True shows a progress bar; a function is called with each `Step`.

    An argument that has no effect, such as `top_p` at temperature 0, is a `GenerationWarning`.

    Raises:
        GenerationError: on anything that can't be done as asked; the message says what would be right.
        PlannerError: on a planner text that can't be read.
        DenoiserError: the model is no denoiser.
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
    """Fill the blanks of a text; `[MASK]`, or the tokenizer's own mask token, stands for one token each.

    Args:
        model: a denoiser with a tokenizer.
        text: what surrounds the blanks is left as it is; or a list of texts. What a tokenizer puts first and last in
            every text stands in `.tokens` too.
        end_tokens: whether end tokens may be written. These models fill spare room with them.
        samples, batch_size, progress: as for `generate`.
        settings: keyword arguments of `generate` that say how to decode: `planner`, `block_length` to `cache`,
            `suppress_tokens`, `defer_tokens` and `scores`.

    Returns:
        A generation whose `.tokens` and `.text` are the whole texts, filled in.

    Raises:
        GenerationError: where there is no blank, and as `generate`.
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
    """The generator below `generate`: one `Step` after each denoiser call, for whoever wants to watch.

    Args:
        model: a denoiser.
        prompts, chat, attention_mask: as for `generate`.
        settings: keyword arguments of `generate` that say how to decode: `planner` to `eos`, and `scores`.
    """
    asked = Settings(**settings)
    run = Run(model, to_rows(model, prompts, chat=chat, attention_mask=attention_mask), asked)
    warn_of_idle(asked, seed=settings.get("seed"))
    return (step for step in run.steps() if step)
