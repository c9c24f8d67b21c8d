"""Spans of text that people wrote, filled in by a denoiser: how likely each planner is to write what stands there.

A planner that reads the confidence of the likeliest token, not of the one drawn, writes a given text in one way only.
Its probability is the product of the model's own probabilities on that way: the real tokens are put in step by step,
and those that a step unmasks count by what the model said of them before it. The negative logarithm, in nats a token,
is what real text costs under model and planner together; nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dus.decoding.sampling import NEVER
from dus.denoisers import Denoiser, DenoiserError
from dus.denoisers.base import Read
from dus.denoisers.columns import take
from dus.lab.language.judged import values
from dus.lab.language.planned import verdict
from dus.lab.language.reach import interval, shown
from dus.lab.theory.adaptive import Situation, rule_of
from dus.writing.tables import code, markdown

PLANNERS = (
    "dus", "confidence(like=dus)", "entropy(like=dus)", "random(like=dus)", "eb(gamma=1)", "eb(gamma=4)", "cb(tau=0.9)",
    "cb(tau=0.5)", "deb(gamma=4)", "eb(gamma=4) | spaced(gap=8)", "left-to-right",
)  # fmt: skip
MARGIN = 4  # tokens of a text that stand on either side of a span at least


class SpanDenoiser(Denoiser):
    """A denoiser of one span in each of some rows: a canvas holds the spans alone, [N, B].

    Args:
        model: The denoiser of whole rows.
        rows: Int64 [N, L].
        starts: Int64 [N], where the spans begin.
    """

    def __init__(self, model: Denoiser, rows: Tensor, starts: Tensor) -> None:
        self.model, self.rows, self.starts = model, rows, starts
        self.mask_token_id, self.vocab_size = model.vocab_size, model.vocab_size + 1

    def at(self, live: Tensor) -> SpanDenoiser:
        """The same of some of the rows."""
        return SpanDenoiser(self.model, self.rows[live], self.starts[live])

    @torch.no_grad()
    def logits(
        self, canvas: Tensor, *, read: Read, attention_mask: Tensor | None = None, cache: object | None = None
    ) -> Tensor:
        """Float32 [N, R, V + 1]: log-probabilities, of masks minus infinity or nearly so.

        Raises:
            DenoiserError: A cache is given, or padding.
        """
        if cache is not None or attention_mask is not None:
            raise DenoiserError("spans are read with whole rows: without a cache and without padding")
        columns = self.starts[:, None] + torch.arange(canvas.shape[1])
        tokens = canvas.where(canvas != self.mask_token_id, self.model.mask_token_id)
        logits = self.model.logits(self.rows.scatter(1, columns, tokens), read=columns).float()
        logits[..., self.model.mask_token_id] = NEVER
        never = torch.full_like(logits[..., :1], NEVER)
        return take(torch.cat([logits.log_softmax(-1), never], -1), read)


def cost(denoiser: SpanDenoiser, spans: Tensor, planner: str) -> tuple[Tensor, Tensor]:
    """Nats a token, float64 [N], of real spans, int64 [N, B], as a planner would fill them in, and its calls, [N].

    Raises:
        TheoryError: A planner that takes tokens back or overwrites them.
    """
    rule = rule_of(planner)
    canvas, count = torch.full_like(spans, denoiser.mask_token_id), len(spans)
    step, calls = torch.zeros(count, dtype=torch.int64), torch.zeros(count)
    nats, live = torch.zeros(count, dtype=torch.float64), torch.arange(count)
    while len(live):
        now = Situation.of(rule, denoiser.at(live), canvas[live], step[live], likeliest=True)
        selected = now.selection(now.probability.argmax(-1))
        chance = now.logits.gather(2, spans[live, :, None])[..., 0].double()
        nats[live] -= chance.where(selected, 0).sum(1)
        canvas[live] = spans[live].where(selected, canvas[live])
        step[live] = now.block.step + 1
        calls[live] += 1
        live = (canvas == denoiser.mask_token_id).any(1).nonzero()[:, 0]
    return nats / spans.shape[1], calls


def measured(model: Denoiser, rows: Tensor, ends: Tensor, length: int, seed: int) -> dict[str, Any]:
    """Each planner's nats a token and calls, lists over rows, of one span a row.

    Args:
        model: The denoiser.
        rows: Int64 [N, L].
        ends: Int64 [N]: spans lie within the first so many tokens, `MARGIN` from either end.
        length: B.
        seed: The seed of the places of spans.
    """
    room = ends - length - 2 * MARGIN
    chance = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
    starts = MARGIN + (chance * (room + 1)).long().minimum(room)
    spans = take(rows, starts[:, None] + torch.arange(length))
    denoiser = SpanDenoiser(model, rows, starts)
    found = {planner: cost(denoiser, spans, planner) for planner in PLANNERS}
    return {planner: {"nats": nats.tolist(), "calls": calls.tolist()} for planner, (nats, calls) in found.items()}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: means over spans with 95 % intervals; `found` are what `measured` said of several batches."""
    dus = values(found, "dus", "nats")
    rows = []
    for planner in PLANNERS:
        nats, calls = values(found, planner, "nats"), values(found, planner, "calls")
        more = shown([one - other for one, other in zip(nats, dus, strict=True)])
        rows.append((code(planner), f"{fmean(calls):.2f}", shown(nats), more))
    return markdown(("planner", "calls", "nats a token", "more than `dus`"), rows)


def claim(found: Sequence[Mapping[str, Any]]) -> str:
    """Whether real text costs less under DUS than under self-confidence at equal calls, in a sentence."""
    pairs = zip(values(found, "confidence(like=dus)", "nats"), values(found, "dus", "nats"), strict=True)
    mean, half = interval([one - other for one, other in pairs])
    return verdict("real text costs {} nats a token more under `confidence(like=dus)` than under `dus`", mean, half)
