"""`dus theory filled` and `dus theory judged`: planners on a small denoiser of English, on text that people wrote."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from dus.cli import InputError
from dus.cli import texts as options

Model = Annotated[str, typer.Argument(help="A masked diffusion language model: folder or hub id.")]
Pairs = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines of question and answer, none of them trained on.")
]
Blocks = Annotated[str, typer.Option(help="Block lengths, separated by commas.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]
Kept = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what is found here, and go on from it.")]
Page = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this Markdown file.")]

ROWS = 8  # of a batch, which is measured and kept as one
WINDOW = 256  # tokens of question and answer


def filled(
    context: typer.Context,
    model: Model,
    data: Pairs,
    blocks: Blocks = "16,32,64",
    spans: Annotated[int, typer.Option(min=ROWS, help="Spans of each length, by the eight.")] = 64,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Say what spans of questions that people wrote cost a denoiser that fills them in as each planner would.

    Minus the log-probability that model and planner give to what really stands there, in nats a token.
    """
    options.check_targets(page)
    lengths = options.numbers("--blocks", blocks, 2)
    import torch

    from dus.denoisers import load
    from dus.lab.language import filled
    from dus.lab.language.corpus import encode_pairs, pairs
    from dus.lab.language.kept import each

    denoiser = load(model)
    encoded, prompts = encode_pairs(denoiser.tokenizer, pairs(data), WINDOW)
    whole, ends = torch.from_numpy(encoded.astype("int64")), torch.from_numpy(prompts).long() - 1

    def part(length: int) -> str:
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
        return f"## Spans of {length}, {count * ROWS} of them\n\n{filled.table(found)}\n\n{filled.claim(found)}"

    parts = [part(length) for length in lengths]
    _say(context, page, "What real text costs in the order of each planner", parts)


def judged(
    context: typer.Context,
    model: Model,
    data: Pairs,
    judge: Annotated[
        str | None, typer.Option(help="A causal language model that reads.", show_default="SmolLM2's package")
    ] = None,
    blocks: Blocks = "16,32,64",
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the draws.")] = 1.0,
    tokens: Annotated[int, typer.Option(min=2, help="Length of an answer.")] = 64,
    questions: Annotated[int, typer.Option(min=ROWS, help="Questions that are answered, by the eight.")] = 32,
    seed: Seed = 0,
    kept: Kept = None,
    page: Page = None,
) -> None:
    """Have a denoiser answer questions under each planner, and a causal language model say how likely the text is."""
    options.check_targets(page)
    lengths = options.numbers("--blocks", blocks, 2)
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

    def part(length: int) -> str:
        def measure(number: int) -> dict[str, Any]:
            typer.echo(f"blocks of {length}: {(number + 1) * ROWS} of {count * ROWS}", err=True)
            return judged.measured(
                denoiser,
                (reader, words),
                asking[number * ROWS : (number + 1) * ROWS],
                tokens=tokens,
                block_length=length,
                temperature=temperature,
                seed=(seed << 20) + number,
            )

        asked = {"model": Path(model).name, "judge": name, "file": data.name, "length": length, "tokens": tokens}
        asked |= {"temperature": temperature, "seed": seed, "rows": ROWS}
        found = list(each(count, measure, _of(kept, length), {**asked, "planners": judged.PLANNERS}))
        return f"## Blocks of {length}, {count * ROWS} texts\n\n{judged.table(found)}\n\n{judged.claim(found)}"

    parts = [f"{tokens} tokens at temperature {temperature:g}, read by {name}.", *(part(length) for length in lengths)]
    _say(context, page, f"What {name} says of text that planners write", parts)


def _of(kept: Path | None, length: int) -> Path | None:
    """The file of one block length."""
    return None if kept is None else kept.with_name(f"{kept.stem}-{length}{kept.suffix}")


def _say(context: typer.Context, page: Path | None, title: str, parts: list[str]) -> None:
    body = "\n\n".join(parts)
    typer.echo(body)
    if page is not None:
        options.written_page(page, title, options.typed(context), body)
