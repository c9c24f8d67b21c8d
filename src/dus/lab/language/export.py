"""Makes a LLaDA checkpoint of what `dus.lab.language.train` wrote: what `dus.load` reads.

python -m dus.lab.language.export OUT DATA FOLDER

DATA is what `dus.lab.language.corpus` wrote; the card lists every source and its licence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from dus.lab.language.corpus import HELD_OUT_EVERY, SOURCES
from dus.lab.language.weights import load_weights
from dus.lab.training import export
from dus.lab.training.model import Size, build
from dus.writing.tables import markdown

CARD = """---
license: mit
language: en
pipeline_tag: text-generation
---

# A small masked diffusion language model of written English

{parameters:,} parameters in LLaDA's architecture and checkpoint format: {width} wide, {layers} layers, {heads} heads,
gated hidden layer of {mlp}, {vocabulary:,} tokens, bfloat16. It was trained on text that people wrote, so that planners
can be compared on it, and is no assistant.

## Data

{sources}

Half of the rows of a batch are questions with their solutions, half are crops of the prose. Held out are GSM8K's test
questions and every {every}th piece of a source.

## Training

{steps:,} steps, {tokens:,} tokens, {hours:.2f} hours, with `dus.lab.language.train`; what is exported is a moving
average of the weights. Held-out bounds in nats a token: {bounds}.
"""
PAIRS = (
    "GSM8K (Cobbe et al., 2021), training questions and solutions",
    "MIT",
    "github.com/openai/grade-school-math",
    "",
)


def card(out: Path, data: Path, size: Mapping[str, Any], parameters: int, vocabulary: int) -> str:
    """The model card: sources and licences from `data`, and what the last line of the log in `out` says."""
    listed = json.loads((data / SOURCES).read_text(encoding="utf-8"))
    rows = [(each["title"], each["licence"], each["from"], f"{each['characters']:,}") for each in listed]
    last = json.loads((out / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return CARD.format(
        parameters=parameters,
        vocabulary=vocabulary,
        sources=markdown(("text", "licence", "from", "characters"), [PAIRS, *rows]),
        every=HELD_OUT_EVERY,
        steps=last["step"],
        tokens=last["tokens"],
        hours=last["seconds"] / 3600,
        bounds=", ".join(f"{name} {last[name]:.2f}" for name in ("answers", "questions", "prose")),
        **{name: size[name] for name in ("width", "layers", "heads", "mlp")},
    )


def write(out: Path, data: Path, folder: Path) -> None:
    """Writes config, weights, tokenizer and card into `folder`; the embedding is stored once, being the head too.

    Raises:
        FileNotFoundError: there are no weights in `out`, or no tokenizer or sources in `data`.
    """
    weights, size = load_weights(out)
    words = AutoTokenizer.from_pretrained(data / "tokenizer")
    network = build(Size(**size), words, seed=0)
    named = dict(network.named_parameters())
    missing = named.keys() ^ weights.keys()
    if missing:
        raise ValueError(f"the weights in {out} are not whole: {', '.join(sorted(missing)[:3])}")
    for name, parameter in named.items():
        parameter.data.copy_(weights[name])
    parameters = sum(parameter.numel() for parameter in named.values())
    export.save(export.as_checkpoint(network, words, tied=True), folder, card(out, data, size, parameters, len(words)))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
