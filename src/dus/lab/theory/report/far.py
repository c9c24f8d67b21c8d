"""Long contexts on sources: with and without dependence that reaches far."""

from __future__ import annotations

from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.kinds import FAR, KINDS
from dus.lab.theory.long import Context, contexts
from dus.lab.theory.report import long
from dus.lab.theory.report.settings import Extent
from dus.lab.theory.texts import from_source

SOURCES = (("first order", 0.9), ("hidden chain", 0.99), ("slow topic", 0.99), ("eight strands", 0.99))


def study(extent: Extent) -> dict[str, list[Context]]:
    """By source, the same blocks behind no known token, eight, and ever four times as many."""
    known, found = [0, 8], {}
    while 4 * known[-1] <= extent.known:
        known.append(4 * known[-1])
    length = extent.length
    for kind, rate in SOURCES:
        source = {**KINDS, **FAR}[kind].source(rate, 0, vocab=2)
        texts = from_source(source, extent.texts, known[-1] + 2 * length, known=known[-1], seed=2)
        spacings = [1 << power for power in range(length.bit_length() - 1)]
        measured = contexts(MarkovDenoiser(source), texts, known, block_length=length, spacings=spacings)
        found[f"{kind}, ρ = {rate:g}"] = list(measured)
    return found


def section(extent: Extent, found: dict[str, list[Context]]) -> str:
    """The tables, one a source, as Markdown."""
    parts = "\n".join(f"### {name}\n\n{long.section(each)}" for name, each in found.items())
    return f"""## Long contexts

The same blocks of {extent.length} positions behind more and more known tokens, {extent.texts} texts of each source, two
tokens: the cost of a token one by one; what DUS and groups of neighbours lose above that, a token; the divergence of
drawing two tokens at once, by their spacing, and the rate of the exponential next to it with its 95% interval (*no*
where an exponential does not fit). Nats with standard errors, measured as `dus theory long` measures a trained
denoiser. A *slow topic* is a hidden chain whose state few tokens tell of; *eight strands* are eight interleaved chains
that know nothing of each other.

{parts}
- A context tells of what is slow: where dependence over long distances comes from a hidden state, known tokens before
  the block give the state away, and what is left between the block's tokens is less.
- A strand ties tokens of a block that DUS takes together, those eight places apart. Its own last token before the block
  helps, and a longer context no further.
"""
