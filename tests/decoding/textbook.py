"""Decoding as a textbook writes it down: one row, the whole canvas at every call, plain Python numbers."""

import math
from typing import NamedTuple

import torch


class Guess(NamedTuple):
    token: int
    confidence: float
    entropy: float


class Row:
    """A row on its way, and the calls that it took."""

    def __init__(self, model, prompt, max_new_tokens, guidance=0.0):
        self.model, self.guidance = model, guidance
        self.tokens = [*prompt, *[model.mask_token_id] * max_new_tokens]
        self.given = [token != model.mask_token_id for token in self.tokens]
        self.when = [-1] * len(self.tokens)
        self.calls = self.steps = 0

    def ask(self, tokens):
        self.calls += 1
        canvas = torch.tensor([tokens])
        return self.model.logits(canvas, read=torch.arange(len(tokens)))[0].double().tolist()

    def guesses(self):
        """One step's guess for every position."""
        logits = self.ask(self.tokens)
        if self.guidance:
            mask = self.model.mask_token_id
            blind = self.ask([mask if given else token for token, given in zip(self.tokens, self.given, strict=True)])
            logits = [
                [u + (1 + self.guidance) * (c - u) for c, u in zip(seeing, unseeing, strict=True)]
                for seeing, unseeing in zip(logits, blind, strict=True)
            ]
        return [self.guess(values) for values in logits]

    def guess(self, values):
        values[self.model.mask_token_id] = -math.inf
        top = max(values)
        weights = [math.exp(value - top) for value in values]
        shares = [weight / sum(weights) for weight in weights]
        entropy = -sum(share * math.log2(share) for share in shares if share)
        return Guess(values.index(top), max(shares), entropy)

    def write(self, places, guesses):
        for place in places:
            self.tokens[place] = guesses[place].token
            self.when[place] = self.steps
        self.steps += 1


def dus(base=2):
    """Level after level of the dilated schedule; an empty one costs nothing."""

    def block(row, start, size, masks):
        left, stride = set(masks), size
        while left:
            stride = max(stride // base, 1)
            due = {place for place in left if (place - start) % stride == 0}
            if due:
                row.write(due, row.guesses())
            left -= due

    return block


def confidence(steps):
    """Equal counts of the most confident masks, the remainder in the first steps."""

    def block(row, start, size, masks):
        left, steps_here = set(masks), min(steps, len(masks))
        for step in range(steps_here):
            count = len(masks) // steps_here + (step < len(masks) % steps_here)
            guesses = row.guesses()
            chosen = sorted(left, key=lambda place: -guesses[place].confidence)[:count]
            row.write(chosen, guesses)
            left -= set(chosen)

    return block


def adaptive(choose, gap=0):
    """What `choose` picks from the masks, best first, thinned to a distance that shrinks with the masks left."""

    def block(row, start, size, masks):
        left = set(masks)
        while left:
            guesses = row.guesses()
            chosen = choose({place: guesses[place] for place in left})
            if gap:
                distance, kept = max(2, len(left) * gap // size), []
                for place in chosen:
                    if all(abs(place - other) >= distance for other in kept):
                        kept.append(place)
                chosen = kept
            row.write(chosen, guesses)
            left -= set(chosen)

    return block


def eb(gamma, gap=0):
    def choose(guesses):
        ordered, total, taken = sorted(guesses, key=lambda place: guesses[place].entropy), 0.0, []
        for place in ordered:
            total += guesses[place].entropy
            if taken and total - guesses[place].entropy > gamma:
                break
            taken.append(place)
        return taken

    return adaptive(choose, gap)


def cb(tau, gap=0):
    def choose(guesses):
        ordered = sorted(guesses, key=lambda place: -guesses[place].confidence)
        return [place for place in ordered if guesses[place].confidence >= tau] or ordered[:1]

    return adaptive(choose, gap)


def decode(model, prompt, rule, *, max_new_tokens, block_length, guidance=0.0):
    """The finished `Row`; its lists start at position 0 of the prompt."""
    row = Row(model, prompt, max_new_tokens, guidance)
    for start in range(row.given.index(False), len(row.tokens), block_length):
        stop = min(start + block_length, len(row.tokens))
        masks = [place for place in range(start, stop) if not row.given[place]]
        if masks:
            rule(row, start, stop - start, masks)
    return row
