"""Denoisers whose every answer is known, and a tokenizer whose pieces can be read in the test."""

from dataclasses import dataclass

import torch

from dus.denoisers import DenoiserAround, from_callable

MASK, END = 0, 1


def mixed(value):
    """An int64 tensor scrambled: neighbouring numbers land far apart."""
    for factor in (-4658895280553007687, -7723592293110705685):
        value = (value ^ (value >> 29)) * factor
    return value ^ (value >> 32)


def hashed(seed=0, *, vocab_size=13, sharpness=8.0, **kwargs):
    """A denoiser whose logits, 0 to `sharpness`, are drawn anew for each row of tokens, position and token.

    It is a pure integer function of the real tokens of a row, so no rounding can differ between batches, and ties
    do not happen. Every token matters to every position, and so does where it stands.
    """

    def fn(canvas):
        column = torch.arange(canvas.shape[1])
        row = mixed(canvas * 1_000_003 + column * 7_919 + seed).sum(dim=1)[:, None, None]
        bits = mixed(row + mixed(column * 104_729)[:, None] + torch.arange(vocab_size) * 611_953)
        return ((bits & 0xFFFFFF).double() / 2**24 * sharpness).float()

    return from_callable(fn, mask_token_id=MASK, vocab_size=vocab_size, eos_token_ids=(END,), **kwargs)


def scripted(answer, *, before, vocab_size=None, certainty=None, **kwargs):
    """A denoiser that writes `answer[i]` at position `before + i`, whatever else stands there.

    Args:
        answer: token ids; the last one goes on for ever.
        before: how many tokens precede the answer.
        vocab_size: at least what the answer needs.
        certainty: for each i the logit above all others', in place of 9.
    """
    vocab_size = vocab_size or max(*answer, END) + 1
    kwargs = {"eos_token_ids": (END,), **kwargs}

    def fn(canvas):
        logits = torch.zeros(*canvas.shape, vocab_size)
        for column in range(canvas.shape[1]):
            at = min(max(column - before, 0), len(answer) - 1)
            logits[:, column, answer[at]] = 9.0 if certainty is None else certainty[at]
        return logits

    return from_callable(fn, mask_token_id=MASK, vocab_size=vocab_size, **kwargs)


def constant(logits, **kwargs):
    """A denoiser that says the same everywhere: `logits` [V]."""
    logits = torch.as_tensor(logits, dtype=torch.float32)

    def fn(canvas):
        return logits.expand(*canvas.shape, -1)

    return from_callable(fn, mask_token_id=MASK, vocab_size=len(logits), **kwargs)


@dataclass
class Call:
    canvas: torch.Tensor
    read: list
    attention_mask: torch.Tensor | None


class Recorder(DenoiserAround):
    """A denoiser around a denoiser that keeps what it was asked; `read` as a list of columns for each row."""

    def __init__(self, model):
        super().__init__(model)
        self.calls = []

    def logits(self, canvas, *, read, attention_mask=None, cache=None):
        rows, columns = read
        each = [columns[rows == row].tolist() for row in range(len(canvas))]
        self.calls.append(Call(canvas.clone(), each, attention_mask))
        return self.inner.logits(canvas, read=read, attention_mask=attention_mask, cache=cache)


class Pieces:
    """A tokenizer of given pieces, the longest that matches first; ids 0 and 1 are special.

    Args:
        pieces: the texts of the ids 2, 3, …
        chat: whether it has a chat template.
    """

    def __init__(self, *pieces, chat=False):
        self.pieces = ["<mask>", "<end>", *pieces]
        self.chat_template = "a template" if chat else None

    def __call__(self, text, add_special_tokens=True):
        ids = []
        while text:
            piece = max((piece for piece in self.pieces if text.startswith(piece)), key=len)
            ids.append(self.pieces.index(piece))
            text = text[len(piece) :]
        return {"input_ids": ids}

    def decode(self, ids, skip_special_tokens=True):
        return "".join(self.pieces[i] for i in ids if i > END or not skip_special_tokens)

    def convert_ids_to_tokens(self, i):
        return self.pieces[i]

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, continue_final_message):
        assert not tokenize
        assert add_generation_prompt is not continue_final_message
        return "".join(f"{message['role']}:{message['content']};" for message in messages)


def same(one, other):
    """Whether two generations agree in tokens, calls and steps, row by row."""
    return (
        [row.tolist() for row in one.tokens] == [row.tolist() for row in other.tokens]
        and one.nfe == other.nfe
        and [row.tolist() for row in one.trace.step] == [row.tolist() for row in other.trace.step]
    )


def rows(generation, *indices):
    """Tokens, calls and steps of some rows, as plain lists."""
    return [(generation.tokens[i].tolist(), generation.nfe[i], generation.trace.step[i].tolist()) for i in indices]
