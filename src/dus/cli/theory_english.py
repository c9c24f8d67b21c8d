"""`dus theory language`, `written`, `filled` and `judged`: dependence and planners on English that people wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dus.cli import InputError
from dus.cli.measuring import check_targets, tell
from dus.cli.options import Page, numbers

if TYPE_CHECKING:
    from torch import Generator, Tensor

Data = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="JSON lines whose question, prompt, problem or text is a context."),
]
Judge = Annotated[
    str | None,
    typer.Option(help="A causal language model: folder, hub id or GGUF file.", show_default="SmolLM2's package"),
]
Contexts = Annotated[int, typer.Option(min=1, help="How many contexts are taken, evenly from the files.")]
Longest = Annotated[int, typer.Option(min=1, help="The most tokens that a context has.")]
Particles = Annotated[int, typer.Option(min=4, help="How many continuations' distributions are averaged.")]
Model = Annotated[str, typer.Argument(help="A masked diffusion language model: folder or hub id.")]
Pairs = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines of question and answer, none of them trained on.")
]
Blocks = Annotated[str, typer.Option(help="Block lengths, separated by commas.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draws.")]
Kept = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what is found in this file, and go on from it.")]

ROWS = 8  # of a batch, which is measured and kept as one
WINDOW = 256  # tokens of question and answer


def language(
    context: typer.Context,
    data: Data,
    source: Judge = None,
    contexts: Contexts = 16,
    longest: Longest = 64,
    particles: Particles = 64,
    draws: Annotated[int, typer.Option(min=1, help="How often the tokens that are conditioned on are drawn.")] = 2,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Measure what tokens of real English say of each other.

    Under a causal language model, over the spacing of the tokens: the mutual information of the token after a context
    and the one so many places later, and the total correlation of dilated groups of four, with 95 % intervals over
    contexts.
    """
    from dus.lab.language.reach import Plan, Reach, reach, section

    plan = Plan(particles=particles, draws=draws)

    def measure(model: Any, tokens: Tensor, generator: Generator) -> dict[str, Any]:
        return asdict(reach(model, tokens, plan, generator))

    name, found = _measured(context, measure, {"longest": longest, "plan": asdict(plan), "seed": seed})
    body = section([Reach.of(each) for each in found], plan)
    tell(context, f"How far dependence reaches: {name}", body)


def written(
    context: typer.Context,
    data: Data,
    source: Judge = None,
    contexts: Contexts = 16,
    longest: Longest = 64,
    particles: Particles = 48,
    block_length: Annotated[int, typer.Option(min=2, help="Positions that are decoded behind each context.")] = 16,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Say what each planner loses on real English, over its calls.

    The text is decoded with a nearly perfect denoiser. Its distributions are a causal language model's own, given the
    tokens on both sides, by importance sampling over continuations.
    """
    from dus.lab.language import planned

    def measure(model: Any, tokens: Tensor, generator: Generator) -> dict[str, Any]:
        return planned.written(model, tokens, block_length, particles, generator.initial_seed())

    asked = {"longest": longest, "particles": particles, "block_length": block_length, "seed": seed}
    name, found = _measured(context, measure, {**asked, "planners": planned.PLANNERS})
    first = (
        "This page says what planners lose on English, in nats a token, where a causal language model with "
        f"{particles} particles is the denoiser: in blocks of {block_length} behind {contexts} contexts. "
        f"{planned.claim(found)}"
    )
    body = f"{first}\n\n{planned.table(found, block_length)}\n\n{planned.LEGEND}\n"
    tell(context, f"Planners on a nearly perfect denoiser, blocks of {block_length}: {name}", body)


def _measured(
    context: typer.Context, measure: Callable[[Any, Tensor, Generator], dict[str, Any]], asked: Mapping[str, Any]
) -> tuple[str, list[Mapping[str, Any]]]:
    """The model's name and what is measured of each context; `asked` is what it depends on besides model and files."""
    given = context.params
    check_targets(given["page"])
    import torch

    from dus.denoisers.arguments import fast_type
    from dus.lab.language.judges import load_judge
    from dus.lab.language.kept import each
    from dus.lab.language.reach import contexts_of

    model, tokenizer, name = load_judge(given["source"], fast_type("cpu"))
    data, seed, count = given["data"], given["seed"], given["contexts"]
    cuts = torch.Generator().manual_seed(seed)
    several = list(contexts_of(data, tokenizer, count, given["longest"], cuts))

    def numbered(number: int) -> dict[str, Any]:
        typer.echo(f"{number + 1} of {count} contexts", err=True)
        return measure(model, several[number], torch.Generator().manual_seed((seed << 20) + number))

    files = [file.name for file in data]
    return name, list(each(count, numbered, given["kept"], {"source": name, "files": files, **asked}))


def filled(
    context: typer.Context,
    model: Model,
    data: Pairs,
    blocks: Blocks = "16,32,64",
    spans: Annotated[int, typer.Option(min=ROWS, help="How many spans of each length are filled, by the eight.")] = 64,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Say what spans of real text cost in the order of each planner.

    A denoiser fills in spans of questions that people wrote, as each planner would. The cost is minus the
    log-probability that model and planner give to what really stands there, in nats a token.
    """
    check_targets(page)
    lengths = numbers("--blocks", blocks, 2)
    import torch

    from dus.denoisers import load
    from dus.lab.language import filled
    from dus.lab.language.corpus import encode_pairs, pairs
    from dus.lab.language.kept import each

    denoiser = load(model)
    encoded, prompts = encode_pairs(denoiser.tokenizer, pairs(data), WINDOW)
    whole, ends = torch.from_numpy(encoded.astype("int64")), torch.from_numpy(prompts).long() - 1

    def part(length: int) -> tuple[str, str]:
        fits = (ends >= length + 2 * filled.MARGIN).nonzero()[:, 0]
        count = min(spans, len(fits)) // ROWS
        if not count:
            raise InputError(f"{data} has fewer than {ROWS} questions with room for a span of {length} tokens")

        def measure(number: int) -> dict[str, Any]:
            chosen = fits[number * ROWS : (number + 1) * ROWS]
            longest = int((whole[chosen] != denoiser.tokenizer.eos_token_id).sum(1).max()) + 1
            typer.echo(f"spans of {length}: {(number + 1) * ROWS} of {count * ROWS}", err=True)
            return filled.measured(denoiser, whole[chosen, :longest], ends[chosen], length, (seed << 20) + number)

        asked = {"model": Path(model).name, "file": data.name, "length": length, "seed": seed, "rows": ROWS}
        found = list(each(count, measure, _of(kept, length), {**asked, "planners": filled.PLANNERS}))
        said = f"- *Spans of {length}.* {filled.claim(found)}"
        return said, f"## Spans of {length}, {count * ROWS} of them\n\n{filled.table(found)}"

    lead = (
        "This page says what real text costs, in nats a token, where a denoiser fills in spans of held-out questions "
        "in the order of each planner."
    )
    claims, tables = zip(*map(part, lengths), strict=True)
    tell(
        context,
        "What real text costs in the order of each planner",
        "\n\n".join([lead, "\n".join(claims), *tables]),
    )


def judged(
    context: typer.Context,
    model: Model,
    data: Pairs,
    judge: Judge = None,
    blocks: Blocks = "16,32,64",
    temperature: Annotated[float, typer.Option(min=0.0, help="Temperature of the draws of tokens.")] = 1.0,
    tokens: Annotated[int, typer.Option(min=2, help="How many tokens an answer has.")] = 64,
    questions: Annotated[int, typer.Option(min=ROWS, help="How many questions are answered, by the eight.")] = 32,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Have a causal language model judge what planners write.

    A denoiser answers questions under each planner, and the other model says how likely the text is.
    """
    check_targets(page)
    lengths = numbers("--blocks", blocks, 2)
    from dus.denoisers import load
    from dus.lab.language import judged
    from dus.lab.language.corpus import pairs
    from dus.lab.language.judges import load_judge
    from dus.lab.language.kept import each

    reader, words, name = load_judge(judge)
    denoiser = load(model)
    asking = [question for question, _ in islice(pairs(data), questions)]
    count = len(asking) // ROWS
    if not count:
        raise InputError(f"{data} has fewer than {ROWS} questions")

    def part(length: int) -> tuple[str, str]:
        def measure(number: int) -> dict[str, Any]:
            typer.echo(f"blocks of {length}: {(number + 1) * ROWS} of {count * ROWS}", err=True)
            how: dict[str, Any] = {
                "tokens": tokens,
                "block_length": length,
                "temperature": temperature,
                "seed": (seed << 20) + number,
            }
            return judged.measured(denoiser, (reader, words), asking[number * ROWS : (number + 1) * ROWS], **how)

        asked = {"model": Path(model).name, "judge": name, "file": data.name, "length": length, "tokens": tokens}
        asked |= {"temperature": temperature, "seed": seed, "rows": ROWS}
        found = list(each(count, measure, _of(kept, length), {**asked, "planners": judged.PLANNERS}))
        said = "\n".join(f"- *Blocks of {length}.* {claim}" for claim in judged.claims(found))
        return said, f"## Blocks of {length}, {count * ROWS} texts\n\n{judged.table(found)}"

    lead = (
        f"This page says how likely a causal language model of another kind, {name}, finds the answers that planners "
        f"write at temperature {temperature:g}, {tokens} tokens each, and what entropy the tokens of each answer have."
    )
    claims, tables = zip(*map(part, lengths), strict=True)
    tell(
        context,
        f"What {name} says of text that planners write at temperature {temperature:g}",
        "\n\n".join([lead, "\n".join(claims), *tables]),
    )


def _of(kept: Path | None, length: int) -> Path | None:
    """The file of one block length."""
    return None if kept is None else kept.with_name(f"{kept.stem}-{length}{kept.suffix}")
