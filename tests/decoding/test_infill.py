"""Masks anywhere: in a text, in tokens, before and behind what is given."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import dus
from dus.decoding import GenerationError

from .standins import MASK, Pieces, Recorder, hashed, scripted


def byte_level():
    """A tokenizer of single bytes, ids 2 to 257, with a mask and an end token before them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<|mdm_mask|>", "<|end|>", *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=pieces[0], eos_token=pieces[1])


TOKENIZER = byte_level()
LETTERS = range(TOKENIZER.convert_tokens_to_ids("a"), TOKENIZER.convert_tokens_to_ids("z") + 1)


def lettering(seed=0):
    """A denoiser that writes lower-case letters."""
    model = hashed(seed, vocab_size=258, tokenizer=TOKENIZER)
    plain = model.fn

    def fn(canvas):
        logits = plain(canvas)
        logits[..., LETTERS.start : LETTERS.stop] += 100
        return logits

    model.fn = fn
    return model


def test_a_text_is_filled_and_its_surroundings_stay():
    got = dus.infill(lettering(), "a [MASK][MASK] b")
    (text,) = got.text
    assert len(text) == 6
    assert text[:2] == "a "
    assert text[4:] == " b"
    assert text[2:4].isalpha()
    assert got.written == got.useful == [2]
    assert TOKENIZER.decode(got.tokens[0].tolist()) == text


@settings(deadline=None, max_examples=60)
@given(parts=st.lists(st.text(max_size=12), min_size=2, max_size=6), planner=st.sampled_from(["dus", "eb(gamma=9)"]))
def test_any_surroundings_stay_byte_for_byte(parts, planner):
    text = "[MASK]".join(parts)
    got = dus.infill(lettering(1), text, planner=planner, block_length=4)
    ids, given = got.tokens[0].tolist(), text.split("[MASK]")
    place, letters = 0, []
    for number, part in enumerate(given):
        if number:
            assert ids[place] in LETTERS
            letters.append(TOKENIZER.decode(ids[place]))
            place += 1
        size = len(part.encode())
        assert TOKENIZER.decode(ids[place : place + size]) == part
        place += size
    assert place == len(ids)
    assert got.text == ["".join(part + letter for part, letter in zip(given, [*letters, ""], strict=True))]
    assert got.written == [len(letters)]


def test_the_tokenizers_own_mask_token_is_a_mask_too():
    one = dus.infill(lettering(), "x<|mdm_mask|>y[MASK]")
    other = dus.infill(lettering(), "x[MASK]y<|mdm_mask|>")
    assert one.text == other.text
    assert one.written == [2]


def test_a_mask_that_is_no_piece_of_the_tokenizer_is_written_out():
    model = hashed(0, vocab_size=300, tokenizer=TOKENIZER)
    model.mask_token_id = 299
    assert dus.infill(model, "x[MASK]y[MASK]").written == [2]


@pytest.mark.parametrize("text", ["[MASK]", "[MASK]ab", "ab[MASK]", "[MASK][MASK][MASK]"])
def test_masks_at_the_edges(text):
    got = dus.infill(lettering(2), text)
    assert len(got.text[0]) == len(text.replace("[MASK]", "_"))
    assert "MASK" not in got.text[0]


def test_special_tokens_among_the_surroundings_are_kept():
    got = dus.infill(lettering(3), "a[MASK]<|end|>b")
    assert got.tokens[0].tolist()[2] == 1
    assert got.text[0][2:] == "<|end|>b"


def test_an_end_token_that_is_written_into_a_gap_cuts_nothing():
    model = scripted([2, 1, 3], before=0, tokenizer=Pieces("a", "b"))
    got = dus.infill(model, "a[MASK]b")
    assert got.tokens[0].tolist() == [2, 1, 3]
    assert got.text == ["a<end>b"]
    assert got.useful == [1]


def test_infilling_takes_the_settings_that_say_how_to_decode():
    model = Recorder(lettering(4))
    text = "ab" + "[MASK]" * 8 + "cd"
    got = dus.infill(model, text, planner="confidence", block_length=4, temperature=1.0, seed=3, cfg_scale=0.5)
    assert got.nfe == [16]
    assert got.seed == 3
    assert got.trace.block_length == 4
    assert dus.infill(model, text, planner="confidence", block_length=4, temperature=1.0, seed=4).text != got.text


@pytest.mark.parametrize("idle", [{"stop": "b"}, {"eos": "stop"}, {"max_new_tokens": 4}])
def test_settings_that_end_an_answer_early_are_refused(idle):
    with pytest.raises(GenerationError, match=f"infill takes no {next(iter(idle))}"):
        dus.infill(lettering(), "a[MASK]b[MASK]", **idle)


def test_a_text_without_a_mask_is_refused():
    with pytest.raises(GenerationError, match=r"nothing to fill in: write \[MASK\]"):
        dus.infill(lettering(), "ab")


def test_masks_in_a_token_prompt_are_filled_and_the_rest_of_it_stays():
    prompt = torch.tensor([[4, MASK, 5, MASK, 6], [MASK, 7, 8, 9, 9]])
    got = dus.generate(hashed(5), prompt, max_new_tokens=3, block_length=4, eos="ignore")
    first, second = (tokens.tolist() for tokens in got.tokens)
    assert len(first) == 7
    assert (first[1], first[3]) == (5, 6)
    assert len(second) == 8
    assert second[1:5] == [7, 8, 9, 9]
    assert MASK not in first + second
    assert got.written == [5, 4]


def test_masks_in_tokens_without_new_ones_are_infilling():
    model = hashed(6, vocab_size=258, tokenizer=TOKENIZER)
    text = dus.infill(model, "ab[MASK]c[MASK]", planner="eb(gamma=1)")
    row = torch.tensor([*TOKENIZER("ab")["input_ids"], MASK, *TOKENIZER("c")["input_ids"], MASK])
    tokens = dus.generate(model, [row], planner="eb(gamma=1)", max_new_tokens=0, eos="ignore")
    assert text.tokens[0].tolist()[2:] == tokens.tokens[0].tolist()
    assert text.nfe == tokens.nfe
