"""`dus theory language` and `dus theory written`: how far dependence reaches in English, and what planners lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import texts as options

if TYPE_CHECKING:
    from torch import Generator, Tensor

Data = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="JSON lines whose question, prompt, problem or text is a context."),
]
Source = Annotated[
    str | None,
    typer.Option(help="A causal language model: folder, hub id or GGUF file.", show_default="SmolLM2's package"),
]
Contexts = Annotated[int, typer.Option(min=1, help="Contexts, evenly from the files.")]
Longest = Annotated[int, typer.Option(min=1, help="Tokens of a context at most.")]
Particles = Annotated[int, typer.Option(min=4, help="Continuations whose distributions are averaged.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]
Kept = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep each context here, and go on from it.")]
Page = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")]


def language(
    context: typer.Context,
    data: Data,
    source: Source = None,
    contexts: Contexts = 16,
    longest: Longest = 64,
    particles: Particles = 64,
    draws: Annotated[int, typer.Option(min=1, help="Times the tokens that are conditioned on are drawn.")] = 2,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Measure what tokens of real English say of each other, over their spacing, under a causal language model.

    The mutual information of the token after a context and the one so many places later, and the total correlation of
    dilated groups of four, with 95 % intervals over contexts.
    """
    from dataclasses import asdict

    from dus.lab.language.distance import section
    from dus.lab.language.reach import Plan, Reach, reach

    plan = Plan(particles=particles, draws=draws)

    def measure(model: Any, tokens: Tensor, generator: Generator) -> dict[str, Any]:
        return asdict(reach(model, tokens, plan, generator))

    name, found = _measured(context, measure, {"longest": longest, "plan": asdict(plan), "seed": seed})
    body = section([Reach.of(each) for each in found], plan)
    typer.echo(body)
    if page is not None:
        options.written_page(page, f"How far dependence reaches: {name}", options.typed(context), body)


def written(
    context: typer.Context,
    data: Data,
    source: Source = None,
    contexts: Contexts = 16,
    longest: Longest = 64,
    particles: Particles = 48,
    block_length: Annotated[int, typer.Option(min=2, help="Positions that are decoded behind each context.")] = 16,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Decode real English with a nearly perfect denoiser, and say what each planner loses over its calls.

    The denoiser's distributions are a causal language model's own, given the tokens on both sides, by importance
    sampling over continuations.
    """
    from dus.lab.language import planned

    def measure(model: Any, tokens: Tensor, generator: Generator) -> dict[str, Any]:
        return planned.written(model, tokens, block_length, particles, generator.initial_seed())

    asked = {"longest": longest, "particles": particles, "block_length": block_length, "seed": seed}
    name, found = _measured(context, measure, {**asked, "planners": planned.PLANNERS})
    body = f"""Blocks of {block_length} behind {contexts} contexts, nats a token; {particles} particles.

{planned.table(found, block_length)}

{planned.claim(found)}
"""
    typer.echo(body)
    if page is not None:
        options.written_page(page, f"Planners on a nearly perfect denoiser: {name}", options.typed(context), body)


def _measured(
    context: typer.Context, measure: Callable[[Any, Tensor, Generator], dict[str, Any]], asked: Mapping[str, Any]
) -> tuple[str, list[Mapping[str, Any]]]:
    """The model's name and what is measured of each context; `asked` is what it depends on besides model and files."""
    given = context.params
    options.check_targets(given["page"])
    import torch

    from dus.lab.language.judges import load_judge
    from dus.lab.language.kept import each
    from dus.lab.language.reach import contexts_of

    model, tokenizer, name = load_judge(given["source"], "bfloat16")
    data, seed, count = given["data"], given["seed"], given["contexts"]
    cuts = torch.Generator().manual_seed(seed)
    several = list(contexts_of(data, tokenizer, count, given["longest"], cuts))

    def numbered(number: int) -> dict[str, Any]:
        typer.echo(f"{number + 1} of {count} contexts", err=True)
        return measure(model, several[number], torch.Generator().manual_seed((seed << 20) + number))

    files = [file.name for file in data]
    return name, list(each(count, numbered, given["kept"], {"source": name, "files": files, **asked}))
