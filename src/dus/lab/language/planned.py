"""Planners on a nearly perfect denoiser of real English: what their blocks cost under the model itself, over calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dus.decoding import generate
from dus.lab.language.reach import interval, shown
from dus.lab.language.real import RealDenoiser
from dus.writing.tables import markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLANNERS = (
    "left-to-right", "dus", "entropy(like=dus)", "confidence(like=dus)", "random(like=dus)", "eb(gamma=0.5)",
    "eb(gamma=2)", "deb(gamma=2)", "cb(tau=0.7)",
)  # fmt: skip
CHOOSY = frozenset(("confidence(like=dus)", "cb(tau=0.7)"))  # read the draws: what is drawn unlikely is drawn again
THIN = 4.0  # a distribution that fewer effective particles stand behind is no estimate
LEGEND = f"""Each planner writes a block at temperature 1. *Under the model* is what its tokens cost under the causal
model itself, and *under its draws* what they cost under the distributions that they were drawn from. The difference
of the two is *lost*: on average it is the divergence of what is written from the language. There is none for planners
that read the draws, since they draw unlikely tokens again. *Particles* is the mean effective number of continuations
behind a distribution, and *below {THIN:.0f}* is the share of tokens whose distribution had fewer, and is a poor
estimate. Costs are in nats a token, with 95% intervals over contexts."""


def written(model: PreTrainedModel, context: Tensor, length: int, particles: int, seed: int) -> dict[str, Any]:
    """What each planner writes behind one context, int64 [L]: nats a token, calls, and how thin its estimates were.

    A name of `PLANNERS` has `nats` (minus the mean log-likelihood under the model), `drawn` (the same under the
    distributions that the tokens were drawn from), `calls`, `size` (the mean effective number of particles behind these
    distributions) and `thin` (how many tokens had fewer than `THIN`).
    """
    denoiser = RealDenoiser(model, context, particles, seed)
    masks = torch.full((1, length), denoiser.mask_token_id)
    found: dict[str, Any] = {}
    for planner in PLANNERS:
        done = generate(
            denoiser, masks, planner=planner, max_new_tokens=0, block_length=length, temperature=1.0, seed=seed,
            eos="ignore", cache="none",
        )  # fmt: skip
        tokens, steps = done.tokens[0][-length:], done.trace.step[0]
        sizes = [
            float(denoiser.sizes[tuple(tokens.where(steps < step, denoiser.mask_token_id).tolist())][place])
            for place, step in enumerate(steps.tolist())
        ]
        found[planner] = {
            "nats": -float(denoiser.likelihood(tokens).mean()),
            "drawn": -float(done.trace.confidence[0].double().log().mean()),
            "calls": done.nfe[0],
            "size": fmean(sizes),
            "thin": sum(size < THIN for size in sizes),
        }
    return found


def table(found: Sequence[Mapping[str, Any]], length: int) -> str:
    """The planners' rows as Markdown, means over contexts with 95 % intervals.

    Where a planner reads no draw, the draws' log-probabilities less those under the model are, on average, the
    divergence KL(written || language) in nats a token; where it does, what it writes has less entropy than its draws.
    """
    rows = []
    for planner in PLANNERS:
        several = [each[planner] for each in found]
        nats, drawn = ([one[name] for one in several] for name in ("nats", "drawn"))
        lost = "reads draws" if planner in CHOOSY else shown(losses(found, planner))
        thin = sum(one["thin"] for one in several) / (length * len(several))
        calls, size = fmean(one["calls"] for one in several), fmean(one["size"] for one in several)
        rows.append((f"`{planner}`", f"{calls:.2f}", lost, shown(nats), shown(drawn), f"{size:.0f}", f"{thin:.0%}"))
    head = ("planner", "calls", "lost", "under the model", "under its draws", "particles", f"below {THIN:.0f}")
    return markdown(head, rows)


def losses(found: Sequence[Mapping[str, Any]], planner: str) -> list[float]:
    """Nats a token that a planner which reads no draw loses, one value a context."""
    return [each[planner]["nats"] - each[planner]["drawn"] for each in found]


def claim(found: Sequence[Mapping[str, Any]]) -> str:
    """Whether DUS loses less than the same counts by entropy do, in a sentence."""
    gains = [one - other for one, other in zip(losses(found, "entropy(like=dus)"), losses(found, "dus"), strict=True)]
    return verdict("`entropy(like=dus)` loses {} nats a token more than `dus`", *interval(gains))


def verdict(sentence: str, mean: float, half: float) -> str:
    """The sentence with a difference in it, and what follows of the paper's claim that it is above 0."""
    if mean > half:
        said = "the paper's claim holds here"
    elif -mean > half:
        said = "the paper's claim does not hold here, it is the other way round"
    else:
        said = "this does not decide the paper's claim"
    return f"At equal calls, {sentence.format(f'{mean:.3f} ± {half:.3f}')}: {said}."
