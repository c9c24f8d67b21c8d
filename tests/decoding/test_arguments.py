"""Arguments that do nothing are told of once, by whoever gave them; unknown ones are answered with the right name."""

import inspect
import re
import warnings

import pytest
import torch

import dus
from dus.decoding import GenerationError, GenerationWarning
from dus.decoding.settings import ArgumentError

from .standins import Pieces, hashed, same

ROW = torch.tensor([[2, 3]])
TEXT = hashed(1, vocab_size=6, tokenizer=Pieces("a", "b", "[", "]", "M", "A", "S", "K"))


def told(call, *arguments, **named):
    """What a call warns of, each sentence as often as it is shown; and what it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = [call(*arguments, **named) for _ in range(2)]
    assert all(each.category is GenerationWarning for each in caught)
    return [str(each.message) for each in caught], found[0]


IDLE = [
    ({"defer_tokens": [4]}, "dus", "defer_tokens has no effect under dus, .*confidence"),
    ({"defer_tokens": [4]}, "dus(base=4)", "defer_tokens has no effect under dus"),
    ({"top_p": 0.5}, "dus", "top_p has no effect at temperature 0.*above 0"),
    ({"top_k": 2}, "confidence", "top_k has no effect at temperature 0"),
    ({"samples": 2}, "confidence", "the 2 samples of a prompt are all the same at temperature 0"),
    ({"seed": 3}, "confidence", "seed has no effect at temperature 0"),
    ({"seed": 3}, "random", r"seed has no effect .*the order of random\(.*\) has a seed of its own"),
    ({"seed": 3}, "dus(order=random)", "seed has no effect .*has a seed of its own"),
]


@pytest.mark.parametrize(("given", "planner", "sentence"), IDLE, ids=[f"{given} {rule}" for given, rule, _ in IDLE])
def test_what_has_no_effect_is_told_once_and_has_none(given, planner, sentence):
    model = hashed(3)
    asked = {"planner": planner, "max_new_tokens": 12, "block_length": 8}
    sentences, found = told(dus.generate, model, ROW, **asked, **given)
    (message,) = sentences
    assert re.search(sentence, message)
    plain = dus.generate(model, ROW, **asked)
    assert found.tokens[0].tolist() == found.tokens[-1].tolist() == plain.tokens[0].tolist()


@pytest.mark.parametrize(
    ("given", "planner"),
    [
        ({"defer_tokens": [4]}, "confidence"),
        ({"defer_tokens": [4]}, "dus | deferred(threshold=0.3)"),
        ({"defer_tokens": [4], "block_length": "auto"}, "dus"),
        ({"top_p": 0.5, "top_k": 2, "samples": 2, "seed": 3, "temperature": 1.0}, "random"),
        ({"samples": 2}, "random"),
        ({}, "dus"),
    ],
)
def test_what_has_an_effect_is_not_told_of(given, planner):
    assert told(dus.generate, hashed(3), ROW, planner=planner, max_new_tokens=12, **given)[0] == []


def test_all_public_calls_tell_it_to_their_caller():
    for call in (
        lambda: dus.generate(TEXT, ROW, seed=1, max_new_tokens=4),
        lambda: dus.infill(TEXT, "a[MASK]", seed=1),
        lambda: list(dus.steps(TEXT, ROW, seed=1, max_new_tokens=4)),
    ):
        with pytest.warns(GenerationWarning, match="seed") as caught:
            call()
        assert [each.filename for each in caught] == [__file__]


def test_letters_that_look_like_a_blank_are_told_of():
    for prompt in ("a[MASK]b", ["ab", "a[MASK]b"]):
        with pytest.warns(
            GenerationWarning, match=r"holds \[MASK\], which generate reads as letters: .*infill"
        ) as caught:
            dus.generate(TEXT, prompt, max_new_tokens=4)
        assert [each.filename for each in caught] == [__file__]


def test_a_template_asked_for_where_no_text_is_to_be_put_in_it_is_told_of():
    chatting = hashed(1, vocab_size=5, tokenizer=Pieces("a", "user:", ";", chat=True))
    turns = [{"role": "user", "content": "a"}]
    for prompts, chat, sentence in (
        (ROW, True, "chat=True has no effect on token ids"),
        (ROW, False, None),
        (turns, False, "chat=False has no effect on chat messages"),
        (turns, True, None),
        (["a", "a"], False, None),
        ("a", True, None),
    ):
        sentences, _ = told(dus.generate, chatting, prompts, chat=chat, max_new_tokens=2)
        assert [each.startswith(sentence or "") for each in sentences] == [True] * (sentence is not None)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("gen_length", "it is called max_new_tokens here"),
        ("block_size", "it is called block_length here"),
        ("steps", r"it is the planner's: planner=confidence\(steps=8\), say"),
        ("remasking", "it is the planner's: planner=confidence, say"),
        ("num_return_sequences", "it is called samples here"),
        ("temprature", "did you mean temperature"),
        ("torch_dtype", "known are "),
        ("beam", "known are "),
    ],
)
def test_an_unknown_argument_is_answered_with_the_one_that_is_meant(name, right):
    for call in (dus.generate, dus.infill) if "samples" in right else (dus.generate, dus.infill, dus.steps):
        with pytest.raises(ArgumentError, match=rf"^{call.__name__}\(\) has no argument '{name}'.*{right}") as caught:
            call(TEXT, "a", **{name: 8})
        assert isinstance(caught.value, GenerationError)
        assert isinstance(caught.value, TypeError)


def test_signatures_stay_what_they_are():
    assert {"model", "planner", "attention_mask"} <= inspect.signature(dus.generate).parameters.keys()
    assert "end_tokens" in inspect.signature(dus.infill).parameters


def test_a_known_argument_is_no_other_for_it():
    assert same(dus.generate(TEXT, ROW, max_new_tokens=4), dus.generate(model=TEXT, prompts=ROW, max_new_tokens=4))
