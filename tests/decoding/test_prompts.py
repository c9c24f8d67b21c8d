"""Prompts as transformers gives them: padded ids are rows of different lengths; conversations go on where they end."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from transformers import BatchEncoding

import dus
from dus.decoding import GenerationError
from dus.decoding.prompts import to_rows

from .standins import hashed, same
from .test_infill import byte_level

MODEL = hashed(2, vocab_size=9)
PAD = 1
CHATML = (
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML


def reading(template=None, pad=None):
    """A model of bytes with a chat template."""
    tokenizer = byte_level()
    tokenizer.chat_template, tokenizer.pad_token = template, pad
    return hashed(1, vocab_size=258, tokenizer=tokenizer)


def padded(rows, side):
    """Rows of ids at one length, and the mask that tells which are real."""
    longest = max(map(len, rows))
    ids, mask = [], []
    for row in rows:
        blank = longest - len(row)
        ids.append([PAD] * blank + row if side == "left" else row + [PAD] * blank)
        mask.append([0] * blank + [1] * len(row) if side == "left" else [1] * len(row) + [0] * blank)
    return ids, mask


FORMS = {
    "lists": lambda ids, mask: (ids, mask),
    "tensors": lambda ids, mask: (torch.tensor(ids), torch.tensor(mask)),
    "arrays": lambda ids, mask: (torch.tensor(ids).numpy(), torch.tensor(mask).bool().numpy()),
}


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=6), min_size=1, max_size=4),
    side=st.sampled_from(["left", "right"]),
    form=st.sampled_from(sorted(FORMS)),
    whole=st.booleans(),
)
def test_padded_ids_are_what_they_are_unpadded(rows, side, form, whole):
    ids, mask = FORMS[form](*padded(rows, side))
    expected = dus.generate(MODEL, [torch.tensor(row) for row in rows], max_new_tokens=4)
    if whole:
        got = dus.generate(MODEL, BatchEncoding({"input_ids": ids, "attention_mask": mask}), max_new_tokens=4)
    else:
        got = dus.generate(MODEL, ids, attention_mask=mask, max_new_tokens=4)
    assert same(got, expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_a_tokenizer_gives_is_a_prompt(side):
    model, texts = reading(pad="<|end|>"), ["a longer one", "ab"]
    tokenizer = model.tokenizer
    tokenizer.padding_side = side
    expected = dus.generate(model, texts, max_new_tokens=4)
    for given_ in (
        tokenizer(texts),
        tokenizer(texts, padding=True),
        tokenizer(texts, padding=True, return_tensors="pt"),
    ):
        assert same(dus.generate(model, given_, max_new_tokens=4), expected)
    assert dus.generate(model, tokenizer("ab"), max_new_tokens=4).text == expected.text[1:]
    several = tokenizer(texts, padding=True, return_tensors="pt")
    with pytest.raises(GenerationError, match=r"prompt 1 (begins|ends) with 10 pad tokens \(1\), .*attention_mask"):
        dus.generate(model, several["input_ids"])
    steps = list(dus.steps(model, several["input_ids"], attention_mask=several["attention_mask"], max_new_tokens=4))
    assert [step.rows for step in steps] == [[1, 0]] * len(steps) or [step.rows for step in steps] == [[0, 1]] * len(
        steps
    )


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([[2, 3]], [[1, 1], [1, 1]], "attention_mask has 2 rows, where there are 1 prompts"),
        ([[2, 3]], [[1]], r"attention_mask of prompt 0 has shape \[1\], .*each of its 2 tokens"),
        ([[2, 3]], [[1, 2]], "has to hold a 0 or a 1"),
        ([[2, 3]], [["a", "b"]], "attention_mask of prompt 0 is no row of zeros and ones"),
        ([[2, 3]], [[0, 0]], "prompt 0 is nothing but padding"),
        ([[2, 3, 4]], [[1, 0, 1]], "attention_mask of prompt 0 is 0 between tokens"),
        ({"input_ids": [[2]], "attention_mask": [[1]]}, [[1]], "an attention_mask of their own: leave out"),
    ],
)
def test_a_mask_that_fits_no_row_is_refused(ids, mask, message):
    with pytest.raises(GenerationError, match=message):
        dus.generate(MODEL, ids, attention_mask=mask)


def test_a_mask_goes_with_ids_and_one_pad_token_may_be_meant():
    model = reading(pad="<|end|>")
    with pytest.raises(GenerationError, match="attention_mask goes with token ids, and prompt 0 is a text"):
        dus.generate(model, "ab", attention_mask=[[1]])
    assert to_rows(model, [[5, 1]])[0].tolist() == [5, 1]
    assert to_rows(model, [[5, 1, 1]], attention_mask=[[1, 1, 1]])[0].tolist() == [5, 1, 1]
    assert to_rows(reading(), [[5, 1, 1]])[0].tolist() == [5, 1, 1]


def said(model, prompt, **how):
    return model.tokenizer.decode(to_rows(model, prompt, **how)[0].tolist())


def test_a_conversation_goes_on_where_it_ends():
    model = reading(CHATML)
    asked = {"role": "user", "content": "hi"}
    assert said(model, "hi") == said(model, [asked]) == "<user>hi</s><assistant>"
    for begun in ("It is", "It is ", "a\n"):
        assert said(model, [asked, {"role": "assistant", "content": begun}]) == f"<user>hi</s><assistant>{begun}"
    assert said(model, [asked, {"role": "assistant", "content": ""}]) == "<user>hi</s><assistant>"


@pytest.mark.parametrize("template", [NO_SYSTEM, "{{ messages[7].content }}", "{{ messages | int + 'a' }}"])
def test_a_template_that_refuses_is_one_sentence(template):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
    with pytest.raises(
        GenerationError, match=r"^prompt \d: the model's chat template refuses a conversation of (system, )?user"
    ) as got:
        dus.generate(reading(template), [[messages[1]] * 8, messages])
    assert not isinstance(got.value, TemplateError)
    assert "\n" not in str(got.value)
