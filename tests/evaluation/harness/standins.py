"""Denoisers and tokenizers whose every answer is known, and lm-eval's requests."""

import torch
from lm_eval.api.instance import Instance
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dus.denoisers import DenoiserAround, from_callable

MASK, END, STOP = "<mask>", "<end>", "<stop>"


def letters(known="abcdefgh", *, specials=(END, STOP), **kwargs):
    """A tokenizer of letters, ids from 0; then the mask, then the special tokens."""
    pieces = [*known, MASK, *specials]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token=known[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    if END in specials:
        kwargs["eos_token"] = END
    extra = [piece for piece in specials if piece != END]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=MASK, extra_special_tokens=extra, **kwargs)


def denoiser(fn, tokenizer=None, **kwargs):
    """A function on token ids as a denoiser of `letters`."""
    tokenizer = tokenizer or letters()
    ends = [tokenizer.eos_token_id] if tokenizer.eos_token else []
    size = len(tokenizer)
    return from_callable(
        fn, mask_token_id=tokenizer.mask_token_id, vocab_size=size, tokenizer=tokenizer, eos_token_ids=ends, **kwargs
    )


def mixed(value):
    """An int64 tensor scrambled: neighbouring numbers land far apart."""
    for factor in (-4658895280553007687, -7723592293110705685):
        value = (value ^ (value >> 29)) * factor
    return value ^ (value >> 32)


def hashed(seed=0, sharpness=6.0, **kwargs):
    """A denoiser whose logits are drawn anew for each row of tokens, position and token: no joint law is behind it."""
    tokenizer = kwargs.pop("tokenizer", None) or letters()

    def fn(canvas):
        column = torch.arange(canvas.shape[1])
        row = mixed(canvas * 1_000_003 + column * 7_919 + seed).sum(dim=1)[:, None, None]
        bits = mixed(row + mixed(column * 104_729)[:, None] + torch.arange(len(tokenizer)) * 611_953)
        return ((bits & 0xFFFFFF).double() / 2**24 * sharpness).float()

    return denoiser(fn, tokenizer, **kwargs)


def scripted(answer, *, before, tokenizer=None, **kwargs):
    """A denoiser that writes the text `answer`, then end tokens, behind `before` tokens."""
    tokenizer = tokenizer or letters()
    ids = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]

    def fn(canvas):
        at = (torch.arange(canvas.shape[1]) - before).clamp(0, len(ids) - 1)
        return 9.0 * torch.nn.functional.one_hot(torch.tensor(ids)[at], len(tokenizer)).float().expand(
            len(canvas), -1, -1
        )

    return denoiser(fn, tokenizer, **kwargs)


class Counter(DenoiserAround):
    """A denoiser around a denoiser that counts rows, and fails at the first call after `most` of them."""

    def __init__(self, model, most=None):
        super().__init__(model)
        self.rows, self.most = 0, most

    def logits(self, canvas, **kwargs):
        if self.most is not None and self.rows >= self.most:
            raise KeyboardInterrupt
        self.rows += len(canvas)
        return self.inner.logits(canvas, **kwargs)


def requests(kind, *arguments, task="a task"):
    """lm-eval's requests with these arguments, one tuple each."""
    return [Instance(kind, {}, argument, 0, metadata=(task, number, 1)) for number, argument in enumerate(arguments)]
