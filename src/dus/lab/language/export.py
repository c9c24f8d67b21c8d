"""Makes a LLaDA checkpoint of what `dus.lab.language.train` wrote: what `dus.load` reads.

python -m dus.lab.language.export OUT TOKENIZER FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from transformers import AutoTokenizer

from dus.lab.language.weights import load_weights
from dus.lab.training import export
from dus.lab.training.model import Size, build


def write(out: Path, tokenizer: Path, folder: Path, card: str = "") -> None:
    """Writes config, weights, tokenizer and card into `folder`; the embedding is stored once, being the head too."""
    weights, size = load_weights(out)
    words = AutoTokenizer.from_pretrained(tokenizer)
    network = build(Size(**size), words, seed=0)
    named = dict(network.named_parameters())
    missing = named.keys() ^ weights.keys()
    if missing:
        raise ValueError(f"the weights in {out} are not whole: {', '.join(sorted(missing)[:3])}")
    for name, parameter in named.items():
        parameter.data.copy_(weights[name])
    export.save(export.as_checkpoint(network, words, tied=True), folder, card)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
