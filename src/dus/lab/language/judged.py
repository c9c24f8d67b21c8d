"""Generative perplexity: what a model of another kind says of text that planners write, and the entropy of that text.

The field's measure of unconditional text (Lou et al., arXiv 2310.16834; Sahoo et al., arXiv 2406.07524) is the
perplexity under a causal language model. Dull repetition has little of it, so the entropy of the tokens' frequencies
within each text stands beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dus.decoding import generate
from dus.denoisers import Denoiser
from dus.lab.language.planned import verdict
from dus.lab.language.reach import interval, shown
from dus.writing.tables import code, markdown

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PLANNERS = (
    "dus", "confidence(like=dus)", "entropy(like=dus)", "eb(gamma=1)", "cb(tau=0.9)", "deb(gamma=4)",
    "eb(gamma=4) | spaced(gap=8)",
)  # fmt: skip


def measured(
    model: Denoiser,
    judge: tuple[PreTrainedModel, PreTrainedTokenizerFast],
    questions: Sequence[str],
    *,
    tokens: int,
    block_length: int,
    temperature: float,
    seed: int,
) -> dict[str, Any]:
    """What each planner answers to questions: lists over them of `nats` a token of the judge, `entropy` and `calls`.

    Every answer is written to its full length, so that end tokens are not what planners differ in.

    Args:
        model: A denoiser with a tokenizer.
        judge: A causal language model and its tokenizer.
        questions: What is answered.
        tokens: The length of an answer.
        block_length: B.
        temperature: The temperature of the draws.
        seed: The seed of the draws.
    """
    never = [token for token in model.tokenizer.all_special_ids if token != model.mask_token_id]
    found = {}
    for planner in PLANNERS:
        done = generate(
            model, list(questions), planner=planner, max_new_tokens=tokens, block_length=block_length, seed=seed,
            temperature=temperature, suppress_tokens=never, eos="ignore", cache="none",
        )  # fmt: skip
        assert done.text is not None
        nats = [surprise(*judge, question, text) for question, text in zip(questions, done.text, strict=True)]
        found[planner] = {"nats": nats, "entropy": [entropy(row) for row in done.tokens], "calls": done.nfe}
    return found


@torch.no_grad()
def surprise(judge: PreTrainedModel, words: PreTrainedTokenizerFast, question: str, text: str) -> float:
    """Minus the mean log-probability of a text's tokens behind a question, in nats, under a causal model."""
    before, after = words(f"{question}\n")["input_ids"], words(text)["input_ids"]
    if not after:
        return math.nan
    row = torch.tensor([*before, *after])
    logs = judge(input_ids=row[None]).logits[0, len(before) - 1 : -1].double().log_softmax(-1)
    return -float(logs.gather(1, row[len(before) :, None]).mean())


def entropy(tokens: Tensor) -> float:
    """The entropy in nats of the frequencies of a text's tokens, int64 [G]."""
    counts = Counter(tokens.tolist()).values()
    return math.log(len(tokens)) - sum(count * math.log(count) for count in counts) / len(tokens)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: means over texts with 95 % intervals; the perplexity is the exponential of the mean nats."""
    rows = []
    for planner in PLANNERS:
        nats = values(found, planner, "nats")
        entropies, calls = values(found, planner, "entropy"), values(found, planner, "calls")
        perplexity = math.exp(fmean(nats))
        rows.append((code(planner), f"{fmean(calls):.2f}", f"{perplexity:.1f}", shown(nats), shown(entropies)))
    return markdown(("planner", "calls", "perplexity", "nats a token", "entropy of the text"), rows)


def claims(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether the judge finds DUS's text likelier than that of self-confidence at equal calls, by both readings of it.

    `confidence` reads the probability of the token that was drawn, and so draws unlikely tokens again: its text has
    less entropy. `entropy` reads no draw, and its text can be compared with that of DUS.
    """
    return [_compared(found, other) for other in ("entropy(like=dus)", "confidence(like=dus)")]


def _compared(found: Sequence[Mapping[str, Any]], other: str) -> str:
    mean, half = _difference(found, other, "nats")
    less, error = _difference(found, other, "entropy")
    said = verdict(f"the judge finds {{}} nats a token more in the text of `{other}` than of `dus`", mean, half)
    return f"{said} The entropy of its text differs by {less:.3f} ± {error:.3f} nats."


def _difference(found: Sequence[Mapping[str, Any]], other: str, name: str) -> tuple[float, float]:
    pairs = zip(values(found, other, name), values(found, "dus", name), strict=True)
    return interval([one - its for one, its in pairs])


def values(found: Sequence[Mapping[str, Any]], planner: str, name: str) -> list[float]:
    """One planner's values over all batches."""
    return [value for batch in found for value in batch[planner][name]]
