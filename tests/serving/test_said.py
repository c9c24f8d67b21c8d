"""What a stream says early is what the answer says in the end."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dus.decoding import BlockDone, Decoded, Settings
from dus.decoding.answers import Answers
from dus.denoisers import from_callable
from dus.serving.replies import NEVER, Said, answer_of, log_probabilities

END, MASK = "<|end|>", "<|mask|>"


@pytest.fixture(scope="module")
def of_bytes():
    """A denoiser that is never called, with one token for each byte, the end token 0."""
    letters = [END, MASK, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, mask_token=MASK)
    return from_callable(
        lambda canvas: None, mask_token_id=1, vocab_size=len(letters), eos_token_ids=(0,), tokenizer=fast
    )


def decoded(tokens):
    nothing = torch.zeros(len(tokens))
    return Decoded(0, tokens, torch.ones(len(tokens), dtype=torch.bool), nothing.long(), nothing, nothing, 1, [])


@given(st.data())
def test_chunks_add_up_to_the_answer_and_none_is_taken_back(of_bytes, data):
    text = data.draw(st.text("aé日🙂 \n#", max_size=20))
    ids = of_bytes.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    ids += data.draw(st.lists(st.integers(2, len(of_bytes.tokenizer) - 1), max_size=3))  # perhaps half a character
    ids += [0] * data.draw(st.integers(0, 2))
    stop = data.draw(st.lists(st.text("aé日#\n ", min_size=1, max_size=3), max_size=2))
    answers = Answers(of_bytes, Settings(stop=stop, eos=data.draw(st.sampled_from(["stop", "ignore"]))))
    tokens, size = torch.tensor(ids, dtype=torch.long), data.draw(st.integers(1, 5))
    masked = torch.ones(len(tokens), dtype=torch.bool)
    said, heard, told = Said(answers, len(tokens)), "", []
    end = size
    while end < len(tokens) and not answers.stopped(tokens[:end], masked[:end]):
        new, some = said.block(BlockDone(0, tokens[:end], masked[:end]))
        heard, told = heard + new, told + some.tolist()
        end += size
    answer = answer_of(answers, decoded(tokens[:end]), len(tokens))
    new, some = said.end(answer)
    assert heard + new == answer.text
    assert told + some.tolist() == answer.tokens.tolist()


def test_half_a_character_and_half_a_stop_string_wait(of_bytes):
    answers = Answers(of_bytes, Settings(stop="###"))
    ids = torch.tensor(of_bytes.tokenizer("aé ##b", add_special_tokens=False)["input_ids"])
    masked = torch.ones(len(ids), dtype=torch.bool)
    said = Said(answers, len(ids))
    ends = [said.block(BlockDone(0, ids[:end], masked[:end]))[0] for end in range(1, len(ids) + 1)]
    assert ends == ["a", "", "é", "", "", "", " ##b"]


def test_a_probability_of_zero_has_a_logarithm_that_json_can_hold():
    assert log_probabilities([1.0, 0.0]) == [0.0, NEVER]
