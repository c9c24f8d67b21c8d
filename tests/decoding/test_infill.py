"""Masks anywhere: in a text, in tokens, before and behind what is given."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
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


def test_end_tokens_are_written_into_a_gap_only_if_that_is_asked_for_and_cut_nothing():
    model = scripted([2, 1, 3], before=0, tokenizer=Pieces("a", "b"))
    got = dus.infill(model, "a[MASK]b", end_tokens=True)
    assert got.tokens[0].tolist() == [2, 1, 3]
    assert got.text == ["a<end>b"]
    assert got.useful == [1]
    assert 1 not in dus.infill(model, "a[MASK]b").tokens[0]
    assert set(dus.infill(model, "a[MASK]b", suppress_tokens=[3]).tokens[0].tolist()) == {2, 3}  # the b that was given


def test_several_texts_and_samples_are_filled_together():
    model, texts, seen = lettering(7), ["a[MASK][MASK]", "[MASK]bc"], []
    asked = {"temperature": 1.0, "seed": 4}
    got = dus.infill(model, texts, samples=2, batch_size=3, progress=seen.append, **asked)
    first = dus.infill(model, texts[0], samples=2, **asked)
    assert got.text[:2] == first.text
    assert first.text[0] != first.text[1]
    assert [text.endswith("bc") for text in got.text] == [False, False, True, True]
    assert seen
    with pytest.raises(GenerationError, match="the list is empty"):
        dus.infill(model, [])
    with pytest.raises(GenerationError, match="a text or a list of texts, not a int"):
        dus.infill(model, [5])


def test_what_a_tokenizer_adds_stands_around_the_text_and_not_in_it():
    tokenizer = byte_level()
    model = lettering(8)
    model.tokenizer = tokenizer
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A <|end|>", special_tokens=[("<|end|>", 1)]
    )
    for text in ("ab[MASK]c", "[MASK]"):
        got = dus.infill(model, text)
        assert got.tokens[0].tolist() == tokenizer(got.text[0])["input_ids"]
        assert len(got.text[0]) == len(text.replace("[MASK]", "_"))
    assert dus.infill(model, "<|end|>[MASK]").tokens[0].tolist()[:2] != [1, 1]


def test_what_stands_behind_a_blank_is_no_beginning_of_a_text():
    pieces = ["<|mdm_mask|>", "<|end|>", "▁", *"abcdefgh"]
    tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    model = hashed(3, vocab_size=len(pieces))
    model.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=pieces[0], eos_token=pieces[1])
    for text in ("ab[MASK]cd", "[MASK] cd[MASK]e", "ab [MASK]e f"):
        given = text.split("[MASK]")
        got = dus.infill(model, text, suppress_tokens=[2])
        filled = got.text[0]
        assert all(len(filled) == len("?".join(given)) and part in filled for part in given)
        assert filled.startswith(given[0])
        assert filled.endswith(given[-1])


def words(*pieces):
    """A tokenizer of given pieces, whose letters are those of GPT-2: a space before a word is part of it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate(["<|mdm_mask|>", "<|end|>", *alphabet, *pieces])}
    merges = [(piece[0], piece[1:]) for piece in pieces]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="<|mdm_mask|>", eos_token="<|end|>")


def test_a_space_before_a_blank_belongs_to_the_token_before_it_where_there_is_such_a_one():
    model = lettering(9)
    for pieces, expected in (
        (["Ġ1", "Ġa"], ["=", "Ġ"]),
        (["=Ġ", "Ġa"], ["=Ġ"]),
        (["Ġa"], ["=", "Ġ"]),
        ([], ["=", "Ġ"]),
    ):
        model.tokenizer = words(*pieces)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            got = dus.infill(model, "= [MASK]")
        assert model.tokenizer.convert_ids_to_tokens(got.tokens[0].tolist())[:-1] == expected
        assert got.text[0][:2] == "= "
        told = [str(each.message) for each in caught]
        assert bool(told) == (pieces != [] and expected != ["=Ġ"])
        assert all("leave it out where a word is wanted, as in '=[MASK]'" in sentence for sentence in told)
        assert all(each.filename == __file__ for each in caught)


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
