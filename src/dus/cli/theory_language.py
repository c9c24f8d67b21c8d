"""`dus theory language`: how far dependence reaches in real English."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dus.cli import texts as options


def language(
    context: typer.Context,
    data: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON lines whose question, prompt, problem or text is a context."),
    ],
    source: Annotated[
        str | None,
        typer.Option(help="A causal language model: folder, hub id or GGUF file.", show_default="SmolLM2's package"),
    ] = None,
    contexts: Annotated[int, typer.Option(min=1, help="Contexts, evenly from the files.")] = 16,
    longest: Annotated[int, typer.Option(min=1, help="Tokens of a context at most.")] = 64,
    particles: Annotated[int, typer.Option(min=4, help="Continuations whose distributions are averaged.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Times the tokens that are conditioned on are drawn.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    kept: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep each context here, and go on from it.")
    ] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")] = None,
) -> None:
    """Measure what tokens of real English say of each other, over their spacing, under a causal language model.

    The mutual information of the token after a context and the one so many places later, and the total correlation of
    dilated groups of four, with 95 % intervals over contexts.
    """
    from dataclasses import asdict

    import torch

    from dus.lab.language.distance import section
    from dus.lab.language.judges import load_judge
    from dus.lab.language.kept import each
    from dus.lab.language.reach import Plan, Reach, contexts_of, reach

    options.check_targets(page)
    model, tokenizer, name = load_judge(source, "bfloat16")
    plan = Plan(particles=particles, draws=draws)
    several = list(contexts_of(data, tokenizer, contexts, longest, torch.Generator().manual_seed(seed)))

    def measure(number: int) -> dict[str, object]:
        typer.echo(f"{number + 1} of {contexts} contexts", err=True)
        return asdict(reach(model, several[number], plan, torch.Generator().manual_seed((seed << 20) + number)))

    files = [file.name for file in data]
    asked = {"source": name, "files": files, "longest": longest, "plan": asdict(plan), "seed": seed}
    body = section([Reach.of(found) for found in each(contexts, measure, kept, asked)], plan)
    typer.echo(body)
    if page is not None:
        options.written_page(page, f"How far dependence reaches: {name}", options.typed(context), body)
